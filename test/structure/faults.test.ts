import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { faultProblems } from './faults.ts';
import { filesBelow, ROOT } from './source-files.ts';

test('every fault that has a number can be brought about again, by a command or by a test of its label', () => {
  const page = readFileSync(join(ROOT, 'docs/debugging.md'), 'utf8');
  const tests = ['src', 'test', 'bpf', 'testbed'].flatMap((folder) => filesBelow(folder, ['.test.ts']));
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
