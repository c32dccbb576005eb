import assert from 'node:assert/strict';
import test from 'node:test';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { WriteQueue } from './write-queue.ts';

function rig() {
  const clock = new SteppedClock();
  const written: string[] = [];
  const queue = new WriteQueue({
    clock,
    async write(unit) {
      written.push(unit);
    },
  });
  /** Lets time go on, and what was begun end. */
  const pass = async (ms: number): Promise<void> => {
    for (let gone = 0; gone < ms; gone += 10) {
      clock.advance(10);
      await new Promise(setImmediate);
    }
  };
  return { queue, written, pass };
}

test('K110: after a burst so many are written a second, and one that somebody waits for comes first', async () => {
  const { queue, written, pass } = rig();
  for (let at = 0; at < 500; at++) queue.add(`r${at}`, false);
  await pass(2_000);
  const { statusBurst, statusPerSecond } = KUBERNETES;
  assert.ok(written.length <= statusBurst + 2 * statusPerSecond + 1, `${written.length} in two seconds`);
  assert.ok(written.length >= statusBurst + statusPerSecond, `${written.length} in two seconds`);
  queue.add('edited', true);
  await pass(200);
  assert.ok(written.slice(-5).includes('edited'));
});

test('K113, K118: one object is written once a second, however often it is asked for', async () => {
  const { queue, written, pass } = rig();
  for (let at = 0; at < 100; at++) {
    queue.add('a', true);
    await pass(50);
  }
  assert.ok(written.length >= 4 && written.length <= 6, `${written.length} in five seconds`);
});

test('what is dropped is not written, and what waits is written once', async () => {
  const { queue, written, pass } = rig();
  queue.add('a', false);
  queue.add('a', true);
  queue.add('b', false);
  queue.drop('b');
  await pass(100);
  assert.deepEqual(written, ['a']);
  assert.equal(queue.size, 0);
});
