import { join } from 'node:path';
import test from 'node:test';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { matchesGolden } from '../../../test/structure/golden.ts';
import { CRD_FILES, KINDS } from './list.ts';
import { bookshop } from './yaml-mesh.testing.ts';

const GOLDEN = join(import.meta.dirname, 'golden');

/** Maps as objects in order of key; empty lists, which only say "no restriction", left out. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return plain(Object.fromEntries([...value].sort(([a], [b]) => (a < b ? -1 : 1))));
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, field]) => !(Array.isArray(field) && field.length === 0));
  return Object.fromEntries(kept.map(([key, field]) => [key, plain(field)]));
}

test('everything that is derived from the bookshop', async () => {
  const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
  const mesh = bookshop(parser, ['10.2.0.2', 'fd02::2']);
  matchesGolden(join(GOLDEN, 'bookshop.json'), `${JSON.stringify(plain(mesh.index.snapshot()), null, 2)}\n`);
});
