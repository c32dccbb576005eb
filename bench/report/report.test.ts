import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, parseMeasure, renderRows, rowOf } from './report.ts';

const NAME = { id: 'same.rtt', metric: 'µs' };

test('the median of an even number of runs is between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([9, 1, 5]), 5);
});
test('the ratio is ours over theirs', () => assert.equal(rowOf(NAME, 'plain', [2, 2, 2], [4, 4, 4]).ratio, 0.5));
test('a machine that gets slower from round to round changes no ratio', () => {
  const row = rowOf(NAME, 'haproxy', [2, 4, 8], [1, 2, 4]);
  assert.deepEqual([row.ratio, row.spread.ratio, row.weft, row.spread.theirs], [2, [2, 2], 4, [1, 4]]);
});
test('a load without the figure is an error, not a zero', () =>
  assert.throws(() => parseMeasure('', 'p50'), { code: 'WEFT_BENCH_LOAD' }));
test('the table has one line for each row and names the peer', () => {
  const lines = renderRows([rowOf(NAME, 'plain', [100], [99])]).split('\n');
  assert.equal(lines.length, 2);
  assert.match(lines[1] ?? '', /same\.rtt +µs +100 +100–100 +plain +99\.0 +99\.0–99\.0 +1\.01× +1\.01–1\.01/);
});
