import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { Clock } from './clock.ts';
import { atOnce, inTurns, sorted, type Work, whenThere } from './work.ts';

/** A clock on which each look costs a millisecond, and whose timers the test fires. */
function lookedAtClock() {
  const due: (() => void)[] = [];
  let atMs = 0;
  const clock: Clock = {
    nowMs: () => atMs,
    monotonicMs: () => atMs++,
    after: (_delayMs, task) => {
      due.push(task);
      return () => {};
    },
    every: () => () => {},
  };
  return { clock, fire: () => due.shift()?.(), waiting: () => due.length };
}

function* counting(to: number, done: number[]): Work<string> {
  for (let at = 0; at < to; at++) {
    done.push(at);
    yield;
  }
  return 'all';
}

test('what fits into one turn is done when the call returns', () => {
  const { clock, waiting } = lookedAtClock();
  assert.equal(inTurns(counting(3, []), clock, 5), 'all');
  assert.equal(waiting(), 0);
});

test('more of it is done in further turns, each within its budget', async () => {
  const { clock, fire, waiting } = lookedAtClock();
  const done: number[] = [];
  const result = inTurns(counting(1_000, done), clock, 5);
  assert.ok(result instanceof Promise);
  const first = done.length;
  assert.ok(first > 0 && first < 20, `${first} in the first turn`);
  while (waiting() > 0) {
    const before = done.length;
    fire();
    assert.ok(done.length - before <= first + 1);
  }
  assert.equal(await result, 'all');
  assert.equal(done.length, 1_000);
});

test('a mistake in a later turn is whoever waits for the result hears of', async () => {
  const { clock, fire, waiting } = lookedAtClock();
  function* failing(): Work<never> {
    for (let at = 0; at < 500; at++) yield;
    throw new Error('broken');
  }
  const result = inTurns(failing(), clock, 2);
  while (waiting() > 0) fire();
  await assert.rejects(async () => result, /broken/);
});

test('what is there goes on in the same turn', async () => {
  assert.equal(
    whenThere(1, (one) => one + 1),
    2,
  );
  assert.equal(await whenThere(Promise.resolve(1), (one) => one + 1), 2);
});

test('texts are in the order that sort gives them', () => {
  fc.assert(
    fc.property(fc.array(fc.string(), { maxLength: 40 }), (texts) => assert.deepEqual(atOnce(sorted(texts)), [...texts].sort())),
  );
  const many = Array.from({ length: 20_000 }, (_, at) => `${(at * 7_919) % 20_000}`);
  assert.deepEqual(atOnce(sorted(many)), [...many].sort());
});
