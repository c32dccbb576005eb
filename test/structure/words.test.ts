import assert from 'node:assert/strict';
import test from 'node:test';
import { filesBelow, type SourceFile } from './source-files.ts';

// Joined here, so that this file does not break its own rule.
const WORDS = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'];
const FORBIDDEN = new RegExp(`\\b(${WORDS.join('|')})\\b`);

function leftovers(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, at) => (FORBIDDEN.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])),
  );
}

test('no note of unfinished work is left in the tree', () => {
  const endings = ['.ts', '.c', '.h', '.md', '.yaml', '.json', '.proto', '.bash', '.py', '.sh', 'Makefile'];
  assert.deepEqual(leftovers(filesBelow('', endings).filter(({ path }) => path !== 'package-lock.json')), []);
});

for (const word of WORDS) {
  test(`the leftover test sees ${word.slice(0, 2)}…`, () => {
    assert.deepEqual(leftovers([{ path: 'a.ts', text: `x\n// ${word}: later` }]), [`a.ts:2: // ${word}: later`]);
  });
}
