import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '#model/effects/clock.ts';
import { Waiters } from './waiters.ts';

function steppedClock(): Clock & { fire(): void } {
  const due = new Set<() => void>();
  return {
    nowMs: () => 0,
    after: (_ms, task) => {
      due.add(task);
      return () => due.delete(task);
    },
    every: () => () => {},
    fire: () => {
      for (const task of [...due]) task();
    },
  };
}

test('what is known is given at once', async () => assert.equal(await new Waiters(steppedClock(), 1).until(() => 7), 7));

test('a waiter is released by the first check that finds its answer', async () => {
  const waiters = new Waiters(steppedClock(), 1);
  let known: string | null = null;
  const answer = waiters.until(() => known);
  waiters.check();
  known = 'here';
  waiters.check();
  assert.equal(await answer, 'here');
});

test('after the deadline the answer is null', async () => {
  const clock = steppedClock();
  const answer = new Waiters(clock, 1).until(() => null);
  clock.fire();
  assert.equal(await answer, null);
});
