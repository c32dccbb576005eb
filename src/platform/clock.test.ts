import assert from 'node:assert/strict';
import test from 'node:test';
import { systemClock } from './clock.ts';

const DAY_MS = 86_400_000;

test('a task runs when it is due, not before', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  let runs = 0;
  systemClock.after(100, () => runs++);
  t.mock.timers.tick(99);
  assert.equal(runs, 0);
  t.mock.timers.tick(1);
  assert.equal(runs, 1);
  t.mock.timers.tick(1_000);
  assert.equal(runs, 1, 'once');
});

test('a delay longer than one timer can hold does not fire at once, but when it is due', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  let monotonicMs = 1_000;
  t.mock.method(performance, 'now', () => monotonicMs);
  const passDays = (days: number): void => {
    for (let day = 0; day < days; day++) {
      monotonicMs += DAY_MS;
      t.mock.timers.tick(DAY_MS);
    }
  };
  let runs = 0;
  systemClock.after(45 * DAY_MS, () => runs++);
  passDays(44);
  assert.equal(runs, 0);
  passDays(2);
  assert.equal(runs, 1);
});

test('a cancelled task never runs, and cancelling twice is harmless', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  let runs = 0;
  const cancel = systemClock.after(0, () => runs++);
  cancel();
  cancel();
  t.mock.timers.tick(1_000);
  assert.equal(runs, 0);
});

test('a repeated task runs until it is cancelled', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  let runs = 0;
  const cancel = systemClock.every(10, () => runs++);
  t.mock.timers.tick(35);
  assert.equal(runs, 3);
  cancel();
  t.mock.timers.tick(100);
  assert.equal(runs, 3);
});

test('the time is that of the system', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_234 });
  assert.equal(systemClock.nowMs(), 1_234);
});
