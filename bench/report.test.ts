import assert from 'node:assert/strict';
import { test } from 'node:test';
import { median, parseMeasure, renderRows, rowOf } from './report.ts';

test('the median of an even number of runs is between the middle two', () => {
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.equal(median([9, 1, 5]), 5);
});
test('the ratio is ours over theirs', () =>
  assert.equal(rowOf({ name: 'n', metric: 'm', peerName: 'p' }, [2, 2, 2], [4, 4, 4]).ratio, 0.5));
test('a load without the figure is an error, not a zero', () =>
  assert.throws(() => parseMeasure('', 'p50'), { code: 'WEFT_BENCH_LOAD' }));
test('the table has one line for each row and names the peer', () => {
  const row = rowOf({ name: 'same node', metric: 'µs', peerName: 'plain TCP' }, [100], [99]);
  const lines = renderRows([row]).split('\n');
  assert.equal(lines.length, 2);
  assert.match(lines[1] ?? '', /same node +µs +100 +100–100 +99\.0 +99\.0–99\.0 +1\.01× +plain TCP/);
});
