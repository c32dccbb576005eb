import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { backoffMs, Retry, UNSPREAD } from './retry.ts';

const BACKOFF = { firstMs: 1_000, maxMs: 10_000 };

test('F10: waits double up to their cap, and are spread by a fifth', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 1_000].map((failures) => backoffMs(failures, BACKOFF, UNSPREAD)),
    [1_000, 2_000, 4_000, 8_000, 10_000, 10_000],
  );
  assert.deepEqual(
    [0, 0.25, 1].map((lot) => backoffMs(1, BACKOFF, () => lot)),
    [800, 900, 1_200],
  );
  assert.equal(
    backoffMs(9, BACKOFF, () => 1),
    10_000,
    'the cap is one',
  );
});

function setUp() {
  const clock = new SteppedClock();
  let tries = 0;
  const retry = new Retry({ clock, random: UNSPREAD }, BACKOFF, () => void tries++);
  return { clock, retry, tries: () => tries };
}

test('F10: there is one next attempt, however often a failure is told', () => {
  const { clock, retry, tries } = setUp();
  for (let told = 0; told < 5; told++) retry.failed();
  clock.advance(100_000);
  assert.equal(tries(), 1);
});

test('F10: an attempt that begins takes the place of the planned one, and a success begins anew', () => {
  const { clock, retry, tries } = setUp();
  assert.deepEqual([retry.failed(), retry.failed()], [1_000, 2_000]);
  retry.begun();
  clock.advance(100_000);
  assert.equal(tries(), 0);
  retry.succeeded();
  assert.equal(retry.failed(), 1_000);
});

test('F10: closed, it plans nothing any more', () => {
  const { clock, retry, tries } = setUp();
  retry.failed();
  retry.close();
  retry.failed();
  clock.advance(100_000);
  assert.equal(tries(), 0);
});
