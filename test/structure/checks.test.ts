import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { checksPage, unfoundCodes } from './checks.ts';
import { filesBelow, ROOT } from './source-files.ts';

test('H17: docs/checks.md is what the tables of codes say', () => {
  assert.equal(readFileSync(join(ROOT, 'docs/checks.md'), 'utf8'), checksPage(), 'run node scripts/checks-page.ts');
});

test('every code of weft check is found by something', () => {
  assert.deepEqual(unfoundCodes(filesBelow('src', ['.ts'])), []);
});

test('a code that nothing finds is seen', () => {
  assert.ok(unfoundCodes([{ path: 'src/model/check/a.ts', text: "found('WEFT_CHECK_PORT', '')" }]).includes('WEFT_CHECK_JIT'));
});
