import assert from 'node:assert/strict';
import test from 'node:test';
import { ownershipViolations, undocumentedExports, undocumentedPerFile, vagueNames } from './exports.ts';
import { ratchetProblems } from './ratchet.ts';
import { filesBelow, isTest } from './source-files.ts';

const typescript = ['src', 'testbed', 'bench', 'examples', 'scripts', 'test'].flatMap((folder) => filesBelow(folder, ['.ts']));
const shipped = typescript.filter(({ path }) => /^(src|testbed)\//.test(path) && !isTest(path));

test('each name is exported by the file that defines it: no default exports, no barrels', () => {
  assert.deepEqual(ownershipViolations(typescript), []);
});

test('every export says what the caller gets', () => {
  const problems = ratchetProblems('undocumentedExports', undocumentedPerFile(shipped));
  const named = problems.map((problem) => {
    const file = shipped.find(({ path }) => problem.startsWith(`${path}: `));
    return file === undefined ? problem : `${problem}: ${undocumentedExports(file).join(', ')}`;
  });
  assert.deepEqual(named, []);
});

test('no folder or file has a name that could hold anything', () => assert.deepEqual(vagueNames(typescript), []));

const foreign = [
  'export default function f() {}',
  'export { f as default };',
  "export { f } from './f.ts';",
  "export * from './f.ts';",
  "export type { F } from './f.ts';",
];
for (const text of foreign) {
  test(`the export test sees ${text}`, () => assert.equal(ownershipViolations([{ path: 'src/model/a.ts', text }]).length, 1));
}

test('the export test sees a barrel', () =>
  assert.equal(ownershipViolations([{ path: 'src/model/index.ts', text: '' }]).length, 1));

const comments = [
  { name: 'sees a bare type', text: '/** A. */\nexport const a = 1;\n\nexport type B = 2;\n', missing: ['B'] },
  { name: 'sees a bare async function', text: 'export async function c(): void {}\n', missing: ['c'] },
  { name: 'lets one comment cover a group', text: '/** Both. */\nexport const a = 1;\nexport const b = 2;\n', missing: [] },
  { name: 'ends the group at a gap', text: '/** A. */\nexport const a = 1;\n\nexport const b = 2;\n', missing: ['b'] },
  { name: 'ends the group at a block', text: '/** A. */\nexport function a() {\n}\nexport const b = 2;\n', missing: ['b'] },
  { name: 'knows overloads', text: '/** A. */\nexport function a(x: 1): 1;\n\nexport function a(x: 2) {\n}\n', missing: [] },
  { name: 'leaves private names alone', text: 'function d() {}\nconst e = 1;\n', missing: [] },
];
for (const { name, text, missing } of comments) {
  test(`the doc comment test ${name}`, () => assert.deepEqual(undocumentedExports({ path: 'src/a.ts', text }), missing));
}

test('the doc comment test counts per file', () => {
  assert.deepEqual(undocumentedPerFile([{ path: 'src/a.ts', text: 'export const a = 1;\nexport const b = 1;\n' }]), {
    'src/a.ts': 2,
  });
});

test('the name test sees vague folders and files', () => {
  const paths = ['src/model/utils/a.ts', 'src/model/helpers.ts', 'src/model/util.test.ts', 'src/model/command.ts'];
  assert.equal(vagueNames(paths.map((path) => ({ path, text: '' }))).length, 3);
});
