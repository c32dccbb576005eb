import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { faultProblems, faultTableProblems } from './faults.ts';
import { filesBelow, ROOT } from './source-files.ts';

const OWN = 'test/structure/faults.test.ts';
/** This file plants labels. */
const labelled = ['src', 'test', 'bpf', 'testbed', 'bench'].flatMap((folder) => filesBelow(folder, ['.test.ts']));
const tests = labelled.filter(({ path }) => path !== OWN);

test('docs/faults.md has every fault, with each test of its label and no other, and what was found beside it', () =>
  assert.deepEqual(faultTableProblems(readFileSync(join(ROOT, 'docs/faults.md'), 'utf8'), tests), []));

test('every fault that has a number can be brought about again, by a command or by a test of its label', () => {
  const page = readFileSync(join(ROOT, 'docs/debugging.md'), 'utf8');
  assert.deepEqual(faultProblems(page, tests), []);
});

const TESTS = [{ path: 'a.test.ts', text: "test('F1: one')" }];
for (const { name, page, want } of [
  {
    name: 'two numbers in one row',
    page: '| F1, F2 | what | `a.test.ts`, `dig x` |\n',
    want: ['F2: none of a.test.ts has a test of that label'],
  },
  { name: 'a command', page: '| F1 | what | `a.test.ts` |\n| F2 | what | `dig x \\| wc` |', want: [] },
  { name: 'a number that is missing', page: '| F1 | what | `a.test.ts` |', want: ['F2 has no row'] },
  {
    name: 'a row without either',
    page: '| F1 | `what` | `a.test.ts` |\n| F2 | what | nothing |',
    want: ['F2 has neither a command nor a test'],
  },
  {
    name: 'a label that no test has',
    page: '| F1 | what | `a.test.ts` |\n| F2 | what | `a.test.ts` |',
    want: ['F2: none of a.test.ts has a test of that label'],
  },
])
  test(`tables of faults: ${name}`, () => assert.deepEqual(faultProblems(page, TESTS, 2), want));

const TABLED = [
  { path: 'a.test.ts', text: "test('F1: one')" },
  { path: 'b.test.ts', text: 'test(\n  `H3, F2: two`)' },
  { path: 'c.test.ts', text: "assert.ok(true, 'F1'); // F2: not a name" },
];
const SOUND = '| F1 | what | `a.test.ts` | more |\n| F2 | what | `b.test.ts` | more |';
for (const { name, page, want } of [
  { name: 'one that is sound', page: SOUND, want: [] },
  { name: 'a number without a row', page: SOUND.slice(0, SOUND.indexOf('\n')), want: ['F2 has 0 rows'] },
  { name: 'a number with two', page: `${SOUND}\n${SOUND.slice(0, SOUND.indexOf('\n'))}`, want: ['F1 has 2 rows'] },
  {
    name: 'a file without a test of the label',
    page: SOUND.replace('`a.test.ts`', '`a.test.ts`, `c.test.ts`'),
    want: ['F1: c.test.ts has no test of that label'],
  },
  {
    name: 'a test that is not named, and a row without tests',
    page: SOUND.replace('`a.test.ts`', 'none'),
    want: ['F1 has no test', 'F1: a.test.ts has a test of that label'],
  },
  {
    name: 'nothing beside it',
    page: SOUND.replace('`a.test.ts` | more', '`a.test.ts` | '),
    want: ['F1 does not say what it was, or what was found beside it'],
  },
])
  test(`the table of faults: ${name}`, () => assert.deepEqual(faultTableProblems(page, TABLED, 2), want));
