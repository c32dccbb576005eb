import assert from 'node:assert/strict';
import test from 'node:test';
import { benchViolations, endingViolations, importCycles, layerViolations } from './layers.ts';
import { filesBelow, type SourceFile } from './source-files.ts';

const sources = [...filesBelow('src', ['.ts']), ...filesBelow('testbed', ['.ts'])];

test('imports point inward: no part imports another, and only main and tests import platform', () => {
  assert.deepEqual(layerViolations(sources), []);
});

const benches = ['testbed', 'bench', 'fuzz'].flatMap((folder) => filesBelow(folder, ['.ts']));

test('there is no import cycle', () => {
  assert.deepEqual(importCycles([...sources, ...benches]), []);
});

test('the test bed, the benchmarks and the fuzz targets do not import main', () => {
  assert.deepEqual(benchViolations(benches), []);
});

test('imports carry the ending of the file', () => {
  assert.deepEqual(endingViolations([...sources, ...filesBelow('test', ['.ts']), ...benches]), []);
});

function planted(path: string, ...imports: string[]): SourceFile {
  return { path, text: imports.map((from) => `import { x } from '${from}';`).join('\n') };
}

const wrongWays = [
  { name: 'model importing protocol', file: planted('src/model/a.ts', '#protocol/b.ts') },
  { name: 'model importing generated code', file: planted('src/model/a.ts', '#proto/ca_pb.js') },
  { name: 'protocol importing platform', file: planted('src/protocol/a.ts', '#platform/b.ts') },
  { name: 'a part importing another part', file: planted('src/waypoint/a.ts', '#node-agent/b.ts') },
  { name: 'a part importing platform', file: planted('src/cli/a.ts', '#platform/b.ts') },
  { name: 'a part importing main', file: planted('src/cli/a.ts', '#main/b.ts') },
  { name: 'a relative way out of the layer', file: planted('src/control-plane/x/a.ts', '../../platform/b.ts') },
  { name: 'a way out of src', file: planted('src/main/a.ts', '../../test/b.ts') },
  { name: 'the test bed importing a part', file: planted('testbed/a.ts', '#node-agent/b.ts') },
  { name: 'the test bed importing main', file: planted('testbed/a.ts', '#main/b.ts') },
  { name: 'a file in no layer', file: planted('src/a.ts') },
  { name: 'a folder that is no layer', file: planted('src/common/a.ts') },
];
for (const { name, file } of wrongWays) {
  test(`the layering test sees ${name}`, () => assert.equal(layerViolations([file]).length, 1));
}

test('the layering test sees an import that follows a comment on its line', () => {
  for (const text of ["/**/ import '#platform/a.ts';", "/* a\n * b */ import { c } from '#platform/a.ts';"]) {
    assert.equal(layerViolations([{ path: 'src/cli/a.ts', text }]).length, 1);
  }
  assert.deepEqual(layerViolations([{ path: 'src/cli/a.ts', text: "/*\nimport '#platform/a.ts';\n*/" }]), []);
});

test('the layering test sees multi-line, dynamic and type imports and re-exports', () => {
  const text = [
    "import {\n  a,\n  b,\n} from '#platform/a.ts';",
    "import type { C } from '#platform/c.ts';",
    "export { d } from '#platform/d.ts';",
    "const e = await import('#platform/e.ts');",
  ].join('\n');
  assert.equal(layerViolations([{ path: 'src/cli/a.ts', text }]).length, 4);
});

for (const file of [planted('testbed/lab/a.ts', '#main/b.ts'), planted('bench/a.ts', '../src/main/commands/b.ts')]) {
  test(`the layering test sees ${file.path} importing main`, () => assert.equal(benchViolations([file]).length, 1));
}

test('the layering test lets main start the benchmarks', () => {
  assert.deepEqual(layerViolations([planted('src/main/a.ts', '../../bench/bench.ts')]), []);
});

test('the layering test lets tests import anything', () => {
  assert.deepEqual(layerViolations([planted('src/model/a.test.ts', '#platform/b.ts')]), []);
});

test('the cycle test sees a cycle of three files, once', () => {
  const ring = [
    planted('src/model/a.ts', './b.ts'),
    planted('src/model/b.ts', '#model/c.ts'),
    planted('src/model/c.ts', './a.ts'),
    planted('src/model/d.ts', './a.ts'),
  ];
  assert.deepEqual(importCycles(ring), ['src/model/a.ts → src/model/b.ts → src/model/c.ts → src/model/a.ts']);
});

test('the ending test sees a missing ending', () => {
  assert.equal(endingViolations([planted('src/model/a.ts', './b', '#model/c.js')]).length, 2);
});
