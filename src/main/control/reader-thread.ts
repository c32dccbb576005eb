import { parentPort } from 'node:worker_threads';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { WantedDocument } from '#control-plane/sources/directory/config-files.ts';
import { type DocumentReading, readDocument } from '#control-plane/sources/directory/resource-file.ts';
import { readCrds } from '#platform/files/crds.ts';

/** What such a thread is started with. */
export type ReaderData = { readonly kind: 'weft-reader-thread' };

/** Reads the documents of each message and answers with what they say, for as long as the control plane wants it. */
export async function readInThread(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('a thread that reads resources is started by a control plane');
  const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
  port.on('message', (wanted: readonly WantedDocument[]) => {
    port.postMessage(wanted.map((raw) => readDocument(raw.file, raw, parser)) satisfies DocumentReading[]);
  });
}
