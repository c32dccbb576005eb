import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Waiters } from './waiters.ts';

test('what is known is given at once', async () =>
  assert.equal(await new Waiters(new SteppedClock(), { deadlineMs: 1, max: 9 }).until(() => 7), 7));

test('a waiter is released by the first check that finds its answer', async () => {
  const waiters = new Waiters(new SteppedClock(), { deadlineMs: 1, max: 9 });
  let known: string | null = null;
  const answer = waiters.until(() => known);
  waiters.check();
  known = 'here';
  waiters.check();
  assert.equal(await answer, 'here');
});

test('after the deadline the answer is null', async () => {
  const clock = new SteppedClock();
  const answer = new Waiters(clock, { deadlineMs: 1, max: 9 }).until(() => null);
  clock.advance(1);
  assert.equal(await answer, null);
});

test('a waiter that was answered or gave up leaves no timer behind', async () => {
  const clock = new SteppedClock();
  const waiters = new Waiters(clock, { deadlineMs: 5, max: 9 });
  let known: string | null = null;
  const answers = [waiters.until(() => known), waiters.until(() => null)];
  known = 'here';
  waiters.check();
  assert.deepEqual(clock.pendingMs(), [5]);
  clock.advance(5);
  assert.deepEqual([await Promise.all(answers), clock.pendingMs()], [['here', null], []]);
});

test('where as many wait as may, a further one is answered at once', async () => {
  const waiters = new Waiters(new SteppedClock(), { deadlineMs: 5, max: 1 });
  let isKnown = false;
  const look = (): true | null => isKnown || null;
  const first = waiters.until(look);
  assert.equal(await waiters.until(look), null);
  isKnown = true;
  waiters.check();
  assert.equal(await first, true);
});
