import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { UnderWay } from './under-way.ts';

const LEAVING = { code: 'WEFT_AGENT_LEAVING' };
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function closing(deadlineMs: number) {
  const clock = new SteppedClock();
  const underWay = new UnderWay(clock);
  const task = Promise.withResolvers<string>();
  const running = underWay.run(() => task.promise);
  let closed = false;
  const close = async (): Promise<void> => {
    await underWay.close(deadlineMs);
    closed = true;
  };
  return { clock, underWay, task, running, close, isClosed: () => closed };
}

test('F8: what has begun comes to its end first, and may still change things; nothing more begins', async () => {
  const { underWay, task, running, close, isClosed } = closing(1_000);
  const over = close();
  await assert.rejects(
    underWay.run(async () => assert.fail('it began')),
    LEAVING,
  );
  underWay.check();
  await settle();
  assert.equal(isClosed(), false);
  task.resolve('done');
  await over;
  assert.equal(await running, 'done');
  assert.throws(() => underWay.check(), LEAVING);
});

test('F8: what does not end is waited for only so long, and then must change nothing', async () => {
  const { clock, underWay, task, running, close } = closing(1_000);
  const over = close();
  clock.advance(999);
  assert.equal(underWay.closed, false);
  clock.advance(1);
  await over;
  assert.equal(underWay.closed, true);
  task.reject(new Error('late'));
  await assert.rejects(running, /late/);
});

test('what fails keeps nobody waiting', async () => {
  const { task, running, close } = closing(1_000);
  const over = close();
  task.reject(new Error('it failed'));
  await assert.rejects(running, /it failed/);
  await over;
});
