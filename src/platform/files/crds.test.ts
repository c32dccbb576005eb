import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES } from '#control-plane/kinds/list.ts';
import { WeftError } from '#model/error.ts';
import { readCrds } from './crds.ts';

test('every schema that Weft needs is part of its installation', async () => {
  const crds = await readCrds(CRD_FILES);
  assert.deepEqual([...crds.keys()].sort(), [...CRD_FILES].sort());
  for (const text of crds.values()) assert.match(text, /^kind: CustomResourceDefinition$/m);
});

test('a schema that is missing is an error with a remedy', async () => {
  await assert.rejects(
    readCrds(['none.yaml']),
    (error: unknown) => error instanceof WeftError && error.code === 'WEFT_CRD_MISSING',
  );
});
