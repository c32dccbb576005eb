import assert from 'node:assert/strict';
import test from 'node:test';
import { BEGINS, bareLaterImports, heavyLoads } from './loads.ts';
import { filesBelow, isTest } from './source-files.ts';

const files = filesBelow('src', ['.ts']).filter(({ path }) => !isTest(path));

test('no process begins with packages that it has no use for', () => {
  for (const { entry } of BEGINS)
    assert.ok(
      files.some(({ path }) => path === entry),
      entry,
    );
  assert.deepEqual(heavyLoads(files), []);
});

test('the test sees a package behind two files, and none behind an import when it is needed, or of a type', () => {
  const planted = [
    { path: 'src/a.ts', text: "import { b } from './b.ts';\nimport type { T } from 'ajv';\n" },
    { path: 'src/b.ts', text: "import { parse } from 'yaml/deep';\nexport const b = () => import('jose');\n" },
  ];
  assert.deepEqual(heavyLoads(planted, [{ entry: 'src/a.ts', without: ['yaml', 'ajv', 'jose'] }]), [
    'src/a.ts → src/b.ts → yaml',
  ]);
});

test('a package that is loaded when it is needed comes through a file of ours, which imports it by its names', () => {
  assert.deepEqual(bareLaterImports(files), []);
  const planted = [
    { path: 'src/a.ts', text: "await import('yaml'); await import('./b.ts'); await import('#main/c.ts'); import('node:fs');" },
  ];
  assert.deepEqual(bareLaterImports(planted), ['src/a.ts: yaml']);
});
