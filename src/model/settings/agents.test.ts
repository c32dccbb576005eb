import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, dataThreads } from './agents.ts';

test('by itself an agent has a data thread for each core but one, and at least one', () => {
  const byDefault = [1, 2, 4, 16, 1_000].map((cores) => dataThreads(null, undefined, cores));
  assert.deepEqual(byDefault, [1, 1, 3, 15, AGENT.threadsMax]);
});

test('what is wanted is done, none is a number, and with WEFT_IO=node there is none', () => {
  assert.deepEqual(
    [dataThreads(0, undefined, 8), dataThreads(5, 'core', 2), dataThreads(5, 'node', 8), dataThreads(null, 'node', 8)],
    [0, 5, 0, 0],
  );
});
