import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { WantedDocument } from '#control-plane/sources/directory/config-files.ts';
import { readDocument } from '#control-plane/sources/directory/resource-file.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { documentReader } from './document-reader.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const clock = new SteppedClock();
const reader = documentReader(clock);
after(() => reader.close());

/** One of each thing that a reading can be, over and over: sound, broken, rejected with a stand-in, foreign, a List, with warnings. */
const TEXTS = [
  'apiVersion: v1\nkind: Service\nmetadata: { name: a, labels: { "1": x } }\nspec: { selector: { app: a }, ports: [{ port: 80 }], wrong: 1 }\n',
  'a: [\n',
  'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p }\nspec: { action: NONE }\n',
  'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: q }\nspec: { rules: [{ to: [{ operation: { ports: ["80"] } }] }] }\n',
  'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\n',
  'apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1, kind: Namespace, metadata: { name: n } }]\n',
  `# ${'long '.repeat(2_000)}\napiVersion: v1\nkind: Namespace\nmetadata: { name: long }\n`,
];
const WANTED: WantedDocument[] = Array.from({ length: 200 }, (_, at) => ({
  file: `${at}.yaml`,
  line: at + 1,
  text: TEXTS[at % TEXTS.length] ?? '',
}));
const READ = WANTED.map((raw) => readDocument(raw.file, raw, parser));

test('S4: what documents say is the same, read in a thread of its own, in their order', async () => {
  assert.deepEqual(await reader.read(WANTED), READ);
  assert.deepEqual(await reader.read(WANTED.slice(0, 1)), READ.slice(0, 1));
});

test('S4: a thread that ends is told, and the next read has another', async () => {
  const reading = reader.read(WANTED);
  reader.close();
  await assert.rejects(reading, /it ended with exit code/);
  assert.deepEqual(await reader.read(WANTED.slice(0, 9)), READ.slice(0, 9));
});

test('S4: it is ended when nothing is to be read, and begins anew', async () => {
  await reader.read(WANTED.slice(0, 1));
  clock.advance(RESOURCE.readerIdleMs);
  assert.deepEqual(await reader.read(WANTED.slice(0, 9)), READ.slice(0, 9));
});
