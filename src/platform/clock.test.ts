import assert from 'node:assert/strict';
import test from 'node:test';
import { systemClock } from './clock.ts';

test('a delay longer than one timer can hold does not fire at once', async () => {
  let fired = false;
  const cancel = systemClock.after(45 * 86_400_000, () => {
    fired = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  cancel();
  assert.equal(fired, false);
});

test('a cancelled task never runs, and cancelling twice is harmless', async () => {
  let runs = 0;
  const cancel = systemClock.after(0, () => {
    runs += 1;
  });
  cancel();
  cancel();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(runs, 0);
});

test('a due task runs', async () => {
  await new Promise<void>((resolve) => {
    const keepAlive = setTimeout(() => {}, 60_000);
    systemClock.after(1, () => {
      clearTimeout(keepAlive);
      resolve();
    });
  });
});
