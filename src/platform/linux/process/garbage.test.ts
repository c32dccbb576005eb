import assert from 'node:assert/strict';
import { test } from 'node:test';
import { collectGarbage } from './garbage.ts';

test('what nobody uses any more is no longer in memory, what somebody uses is', () => {
  const kept = new Array<number>(1_000_000).fill(0.5);
  const before = process.memoryUsage().heapUsed;
  fill();
  collectGarbage();
  const grown = process.memoryUsage().heapUsed - before;
  assert.ok(grown < 4_000_000, `${grown} bytes of some 32,000,000 are still there`);
  assert.equal(kept.length, 1_000_000);
});

function fill(): void {
  const lists = Array.from({ length: 4 }, () => new Array<number>(1_000_000).fill(0.5));
  assert.equal(lists.length, 4);
}
