import { ResourceDesk } from '#control-plane/desk/resource-desk.ts';
import { KINDS } from '#control-plane/kinds/list.ts';
import type { Finding } from '#control-plane/resources/finding.ts';
import type { ResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { WantedDocument } from '#control-plane/sources/directory/config-files.ts';
import type { directorySource } from '#control-plane/sources/directory/directory-source.ts';
import { readDocument } from '#control-plane/sources/directory/resource-file.ts';
import type { Log } from '#model/effects/log.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { Backing } from './backing.ts';
import type { documentReader } from './document-reader.ts';

/** What a desk is made of. */
type Surroundings = {
  backing: Backing;
  source: ReturnType<typeof directorySource>;
  parser: ResourceParser;
  reader: ReturnType<typeof documentReader>;
  findings: () => readonly Finding[];
  log: Log;
};

/** Where resources are handed in for the place that is read. */
export function openDesk({ backing, source, parser, reader, findings, log }: Surroundings): ResourceDesk {
  const editor = source.editor(backing.edit);
  const read = async (wanted: readonly WantedDocument[]) => {
    const size = wanted.reduce((sum, { text }) => sum + text.length, 0);
    if (size > RESOURCE.readAtOnceCharactersMax) return reader.read(wanted);
    return wanted.map((document) => readDocument(document.file, document, parser));
  };
  return new ResourceDesk({ editor, read, kinds: KINDS, findings, log });
}
