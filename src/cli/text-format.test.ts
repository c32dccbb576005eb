import assert from 'node:assert/strict';
import test from 'node:test';
import { formatDuration, formatMoment, formatTable } from './text-format.ts';

test('columns are as wide as their widest cell, and lines have no trailing blanks', () => {
  const table = formatTable(
    ['NODE', 'PATH'],
    [
      ['a', 'direct'],
      ['node-12', ''],
    ],
  );
  assert.equal(table, 'NODE     PATH\na        direct\nnode-12\n');
});

test('a table without rows is nothing', () => assert.equal(formatTable(['NODE'], []), ''));

const lengths: [number, string][] = [
  [0, '0 s'],
  [-5, '0 s'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [3_600_000, '1 h'],
  [86_400_000 * 3, '3 d'],
];
for (const [ms, text] of lengths) test(`${ms} ms are told as ${text}`, () => assert.equal(formatDuration(ms), text));

test('moments are told from now', () => {
  assert.equal(formatMoment(10_000, 5_000), 'in 5 s');
  assert.equal(formatMoment(5_000, 10_000), '5 s ago');
});
