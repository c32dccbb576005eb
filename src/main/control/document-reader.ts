import { ResourceDesk } from '#control-plane/desk/resource-desk.ts';
import { KINDS } from '#control-plane/kinds/list.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { WantedDocument } from '#control-plane/sources/directory/config-files.ts';
import type { DocumentReading } from '#control-plane/sources/directory/resource-file.ts';
import { readDocument } from '#control-plane/sources/directory/resource-file.ts';
import type { ResourceEditor } from '#control-plane/sources/editor.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { HelperThread } from '#platform/program/helper-thread.ts';
import type { ReaderData } from './reader-thread.ts';

/** Reads many documents in a thread of its own: the text of a large mesh takes many seconds, and agents would wait. */
export function documentReader(clock: Clock) {
  const data: ReaderData = { kind: 'weft-reader-thread' };
  const thread = new HelperThread<readonly WantedDocument[], DocumentReading[]>(data, RESOURCE.readerIdleMs, clock);
  return {
    /** What documents say, in their order. Errors: when the thread fails. */
    read: async (wanted: readonly WantedDocument[]) => (await thread.ask(partsOf(wanted))).flat(),
    close: () => thread.close(),
  };
}

function partsOf(wanted: readonly WantedDocument[]): WantedDocument[][] {
  const parts: WantedDocument[][] = [];
  let left = 0;
  for (const document of wanted) {
    if (left <= 0) {
      parts.push([]);
      left = RESOURCE.readTogetherCharactersMax;
    }
    parts.at(-1)?.push(document);
    left -= document.text.length;
  }
  return parts;
}

/** What a desk is made of. */
type Surroundings = {
  editor: ResourceEditor;
  parser: ResourceParser;
  reader: ReturnType<typeof documentReader>;
  findings: () => readonly Finding[];
  log: Log;
};

/** Where resources are handed in for the place that is read. */
export function openDesk({ editor, parser, reader, findings, log }: Surroundings): ResourceDesk {
  const read = async (wanted: readonly WantedDocument[]) => {
    const size = wanted.reduce((sum, { text }) => sum + text.length, 0);
    if (size > RESOURCE.readAtOnceCharactersMax) return reader.read(wanted);
    return wanted.map((document) => readDocument(document.file, document, parser));
  };
  return new ResourceDesk({ editor, read, kinds: KINDS, findings, log });
}
