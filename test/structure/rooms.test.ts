import assert from 'node:assert/strict';
import test from 'node:test';
import { KINDS } from '#control-plane/kinds/list.ts';
import { BRANCHES_MAX, folderGroups, kindViolations, supportViolations, wiringViolations } from './rooms.ts';
import { filesBelow, type SourceFile } from './source-files.ts';

const tree = [...filesBelow('src', ['.ts']), ...filesBelow('testbed', ['.ts'])];

function planted(path: string, ...imports: string[]): SourceFile {
  return { path, text: imports.map((from) => `import { x } from '${from}';`).join('\n') };
}

test('the folder test sees two folders that import one another, though no file does', () => {
  const files = [
    planted('src/waypoint/stages/a.ts', '#waypoint/upstream/b.ts'),
    planted('src/waypoint/upstream/c.ts', '#waypoint/stages/d.ts'),
  ];
  assert.deepEqual(folderGroups(files), ['src/waypoint/stages ⇄ src/waypoint/upstream']);
});

test('the folder test sees a way round over a folder and its parent, once', () => {
  const files = [
    planted('src/model/a.ts', './x/b.ts'),
    planted('src/model/x/b.ts', './y/c.ts'),
    planted('src/model/x/y/c.ts', '#model/d.ts'),
    planted('testbed/z/e.ts', '#testbed/f.ts'),
  ];
  assert.deepEqual(folderGroups(files), ['src/model ⇄ src/model/x ⇄ src/model/x/y']);
});

test('the folder test lets tests and other parts pass', () => {
  const files = [
    planted('src/model/a.test.ts', './x/b.ts'),
    planted('src/model/x/b.ts', '#model/a.ts'),
    planted('src/main/a.ts', '#model/a.ts'),
  ];
  assert.deepEqual(folderGroups(files), []);
});

const kindCases = [
  {
    name: 'a kind importing another',
    file: planted('src/control-plane/kinds/service/read.ts', '#control-plane/kinds/pod/read.ts'),
  },
  { name: 'the engine importing a kind', file: planted('src/control-plane/index/engine.ts', '#control-plane/kinds/pod/read.ts') },
  {
    name: 'the engine importing the list of kinds',
    file: planted('src/control-plane/index/engine.ts', '#control-plane/kinds/list.ts'),
  },
  { name: 'a source importing a kind', file: planted('src/control-plane/sources/source.ts', '#control-plane/kinds/pod/read.ts') },
  {
    name: 'the engine naming a kind',
    file: { path: 'src/control-plane/index/engine.ts', text: "if (resource.kind === 'Pod') return;" },
  },
  { name: 'the engine naming a kind otherwise', file: { path: 'src/control-plane/index/table.ts', text: 'table(`Pod`);' } },
  {
    name: 'the engine naming a kind behind a comment',
    file: { path: 'src/control-plane/index/a.ts', text: "/** x */ k('Pod');" },
  },
];
for (const { name, file } of kindCases) {
  test(`the kind test sees ${name}`, () => assert.equal(kindViolations([file], ['Pod']).length, 1));
}

test('the kind test lets a kind import its own files and what all kinds share', () => {
  const file = planted(
    'src/control-plane/kinds/service/read.ts',
    './check.ts',
    '#control-plane/kinds/list.ts',
    '#model/error.ts',
  );
  assert.deepEqual(kindViolations([file], ['Pod']), []);
});

const decisions = [
  { name: 'a class', text: 'export class Keeper {\n}\n' },
  { name: 'a class in an expression', text: 'const hidden = class {\n};\n' },
  { name: 'a class that extends another', text: 'class Keeper extends Other {\n}\n' },
  { name: 'a function that decides', text: `export function f() {\n${'  if (a) b();\n'.repeat(BRANCHES_MAX + 1)}}\n` },
  { name: 'an arrow function that decides', text: `const f = () => {\n${'  return a ? b : c;\n'.repeat(BRANCHES_MAX + 1)}};\n` },
  { name: 'conditions that decide', text: `async function f() {\n  return ${'a && b || '.repeat(3)}c;\n}\n` },
];
for (const { name, text } of decisions) {
  test(`the wiring test sees ${name} in main`, () => {
    assert.equal(wiringViolations([{ path: 'src/main/a.ts', text }]).length, 1);
    assert.deepEqual(wiringViolations([{ path: 'src/node-agent/a.ts', text }]), []);
  });
}

test('the wiring test lets a check or two pass', () => {
  const text = `function f() {\n${'  if (a) b();\n'.repeat(BRANCHES_MAX)}}\n\nfunction g() {\n${'  if (a) b();\n'.repeat(BRANCHES_MAX)}}\n`;
  assert.deepEqual(wiringViolations([{ path: 'src/main/a.ts', text }]), []);
});

const support = [
  planted('src/model/a.ts', './b.testing.ts'),
  planted('src/model/a.ts', '#model/b.test.ts'),
  planted('src/platform/a.ts', 'node:test'),
  planted('testbed/a.ts', 'node:assert/strict'),
  planted('src/model/testing/sample.ts'),
  planted('src/platform/test-peers.ts'),
  planted('src/main/control-harness.ts'),
  planted('src/model/mesh-fixtures.ts'),
];
for (const file of support) {
  const told = file.text === '' ? file.path : `${file.path} with ${file.text}`;
  test(`the test support test sees ${told}`, () => assert.equal(supportViolations([file]).length, 1));
}

test('the test support test lets tests import it, and products of honest names pass', () => {
  const files = [
    planted('src/model/a.test.ts', './b.testing.ts', 'node:test'),
    planted('src/model/b.testing.ts', './c.testing.ts', 'node:assert'),
    planted('src/model/latest.ts', './contest.ts'),
  ];
  assert.deepEqual(supportViolations(files), []);
});

test('product never imports test support, and test support is called *.testing.ts', () => {
  assert.deepEqual(supportViolations(tree), []);
});

test('no two folders of a part import one another', () => assert.deepEqual(folderGroups(tree), []));

test('kinds do not import one another, and the engine knows none', () => {
  const names = KINDS.map(({ kind }) => kind);
  assert.ok(names.length >= 8);
  assert.deepEqual(kindViolations(tree, names), []);
});

test('src/main only wires: no class, no decision', () => assert.deepEqual(wiringViolations(tree), []));
