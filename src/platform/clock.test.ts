import assert from 'node:assert/strict';
import test from 'node:test';
import { sharedDelays, systemClock, turnClock } from './clock.ts';
import { SteppedClock } from './stepped-clock.testing.ts';

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

test('a clock of turns is looked at once until promises have run, and then anew', async () => {
  const stepped = new SteppedClock();
  const clock = turnClock(stepped);
  const [nowMs, monotonicMs] = [clock.nowMs(), clock.monotonicMs()];
  stepped.advance(5);
  assert.deepEqual([clock.nowMs(), clock.monotonicMs()], [nowMs, monotonicMs]);
  await null;
  assert.deepEqual([clock.monotonicMs(), clock.nowMs()], [monotonicMs + 5, nowMs + 5]);
});

/** Delays that share timers of a stepped clock, and how many of those there are. */
function shared() {
  const stepped = new SteppedClock();
  const ran: string[] = [];
  const clock = sharedDelays(stepped, () => stepped.nowMs());
  const after = (delayMs: number, name: string) => clock.after(delayMs, () => void ran.push(name));
  return { stepped, ran, after, clock };
}

test('delays of one length share one timer, and each ends when it is due', () => {
  const { stepped, ran, after } = shared();
  after(10, 'a');
  stepped.advance(4);
  after(10, 'b');
  after(10, 'c');
  assert.equal(stepped.pendingMs().length, 1);
  stepped.advance(5);
  assert.deepEqual(ran, []);
  stepped.advance(1);
  assert.deepEqual(ran, ['a']);
  stepped.advance(4);
  assert.deepEqual([ran, stepped.pendingMs()], [['a', 'b', 'c'], []]);
});

test('a cancelled delay never ends, whichever it is, and those beside it do', () => {
  const { stepped, ran, after } = shared();
  const cancels = ['a', 'b', 'c', 'd'].map((name) => after(10, name));
  cancels[0]?.();
  cancels[2]?.();
  cancels[2]?.();
  cancels[3]?.();
  after(10, 'e');
  stepped.advance(10);
  assert.deepEqual(ran, ['b', 'e']);
  for (const cancel of cancels) cancel();
  stepped.advance(10);
  assert.deepEqual([ran, stepped.pendingMs()], [['b', 'e'], []]);
});

test('lengths are independent, and a delay that begins another, of whatever length, has it run', () => {
  const { stepped, ran, after, clock } = shared();
  after(20, 'long');
  after(5, 'short');
  clock.after(5, () => void after(5, 'again'));
  stepped.advance(9);
  assert.deepEqual(ran, ['short']);
  stepped.advance(1);
  assert.deepEqual(ran, ['short', 'again']);
  stepped.advance(10);
  assert.deepEqual(ran, ['short', 'again', 'long']);
});

test('what one task throws keeps no other from its turn', () => {
  const { stepped, ran, after, clock } = shared();
  clock.after(5, () => {
    throw new Error('planted');
  });
  after(5, 'next');
  assert.throws(() => stepped.advance(5), /planted/);
  stepped.advance(1);
  assert.deepEqual(ran, ['next']);
});
