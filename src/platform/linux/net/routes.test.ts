import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { followRoutes } from './routes.ts';

const PERIOD_MS = 2_000;

test('routes that changed are told once, those that stay never, and what failed is told again', async () => {
  const clock = new SteppedClock();
  let table = 'default via 10.0.0.1';
  let told = 0;
  let isFailing = false;
  const stop = followRoutes(
    clock,
    PERIOD_MS,
    async () => {
      told += 1;
      if (isFailing) throw new Error('not now');
    },
    async () => Buffer.from(table),
    () => {},
  );
  const pass = async (): Promise<void> => {
    await turn();
    clock.advance(PERIOD_MS);
    await turn();
  };
  await pass();
  assert.equal(told, 0, 'the first look has nothing to compare with');
  table = 'default via 10.0.0.2';
  await pass();
  await pass();
  assert.equal(told, 1);
  [table, isFailing] = ['10.41.1.0/24 via 10.0.0.2', true];
  await pass();
  isFailing = false;
  await pass();
  await pass();
  assert.equal(told, 3);
  stop();
  table = '';
  await pass();
  assert.equal(told, 3);
});

test('a table that takes long to read is read less often', async () => {
  const clock = new SteppedClock();
  let reads = 0;
  const slow = async (): Promise<Buffer> => {
    reads += 1;
    clock.advance(100); // 10 s may not be spent on looking again
    return Buffer.alloc(0);
  };
  followRoutes(clock, PERIOD_MS, async () => {}, slow);
  for (let passed = 0; passed < 10_000; passed += PERIOD_MS) {
    await turn();
    clock.advance(PERIOD_MS);
  }
  await turn();
  assert.equal(reads, 2);
});
