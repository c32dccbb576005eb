import type { WantedDocument } from '#control-plane/sources/directory/config-files.ts';
import type { DocumentReading } from '#control-plane/sources/directory/resource-file.ts';
import type { Clock } from '#model/effects/clock.ts';
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
