import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { readRestartPolicy } from '#model/launch/restart-policy.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { keepRunning } from './keep-running.ts';

/** Endings that a command comes to, one after the other: an exit code, or an error of its start; then it runs on. */
function setUp(policy: string, endings: (number | Error)[]) {
  const clock = new SteppedClock();
  const told: string[] = [];
  const world = { starts: 0, isWanted: true, ask: (): void => {}, runsMs: 0, end: (_: number): void => {}, readies: 0 };
  const code = keepRunning(readRestartPolicy(policy) ?? assert.fail(), {
    clock,
    random: () => 0.5,
    once: async (started) => {
      world.starts += 1;
      const ending = endings.shift();
      if (ending instanceof Error) throw ending;
      started();
      if (ending === undefined) return new Promise<number>((resolve) => (world.end = resolve));
      clock.advance(world.runsMs);
      return ending;
    },
    onAsked: (listener) => {
      world.ask = listener;
      return () => {};
    },
    isWanted: () => world.isWanted,
    ready: () => void world.readies++,
    warn: (sentence) => void told.push(sentence),
  });
  const pass = async (ms: number): Promise<void> => {
    await turn();
    clock.advance(ms);
    await turn();
  };
  return { code, world, told, pass };
}

for (const { policy, endings, waits, starts, want } of [
  { policy: 'no', endings: [3], waits: [], starts: 1, want: 3 },
  { policy: 'on-failure', endings: [1, 2, 0], waits: [100, 200], starts: 3, want: 0 },
  { policy: 'on-failure:2', endings: [1, 1, 5], waits: [100, 200], starts: 3, want: 5 },
])
  test(`H14: ${policy}: ${endings}`, async () => {
    const { code, world, told, pass } = setUp(policy, endings);
    for (const ms of waits) await pass(ms);
    assert.equal(await code, want);
    assert.deepEqual([world.starts, world.readies], [starts, 1]);
    assert.deepEqual(
      told.map((sentence) => Number(/ in (\S+) s\n$/.exec(sentence)?.[1]) * 1_000),
      waits,
    );
  });

test('H14: one that ran for a while begins its waits anew, and is not started before they are over', async () => {
  const { world, told, pass } = setUp('always', [0, 0, 0]);
  await pass(99);
  assert.equal(world.starts, 1);
  world.runsMs = 10_000;
  await pass(1);
  assert.match(told.at(-1) ?? '', /exit code 0; starting it again in 0\.1 s/);
  world.isWanted = false;
});

test('H14: what never ran is not tried again: an error is thrown, an exit code is the end', async () => {
  const refused = setUp('always', [new Error('no room')]);
  await assert.rejects(refused.code, /no room/);
});

test('H14: an error of a later start is told and tried again, and does not count as one of its times', async () => {
  const { code, world, told, pass } = setUp('on-failure:1', [1, new Error('no agent'), 4]);
  await pass(100);
  await pass(200);
  assert.equal(await code, 4);
  assert.equal(world.starts, 3);
  assert.match(told[1] ?? '', /^weft: no agent; starting it again in 0\.2 s/);
});

test('H14: asked to end, or not wanted any more, it ends with its command, or at once when it waits', async () => {
  const running = setUp('always', []);
  await turn();
  running.world.ask();
  running.world.end(143);
  assert.equal(await running.code, 143);
  const waiting = setUp('always', [7]);
  await turn();
  waiting.world.ask();
  assert.equal(await waiting.code, 7);
  const unwanted = setUp('always', [1, 1, 1, 1, 1, 1, 1, 1, 1]);
  for (const ms of [100, 200, 400, 800, 1_600]) await unwanted.pass(ms);
  unwanted.world.isWanted = false;
  await unwanted.pass(500);
  assert.equal(await unwanted.code, 1);
  assert.equal(unwanted.world.starts, 6);
});
