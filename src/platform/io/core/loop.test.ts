import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { IO } from '#model/settings/io.ts';
import { SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';
import { boundSocket, keptMishaps, tcpPairs } from '#platform/io/contract/pairs.testing.ts';
import { runSchedules } from '#platform/io/contract/schedules.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { CoreIo } from './core-io.ts';
import { Loop } from './loop.ts';
import { NODE_INTERNALS, type NodeInternals } from './node-turns.ts';

/** In a process of its own: where libuv is busy, as under a test runner, it knows the time anyway. */
const WITH_TIMER = `
  import { CoreIo } from '#platform/io/core/core-io.ts';
  import { boundSocket, keptMishaps } from '#platform/io/contract/pairs.testing.ts';
  import { SYSCALLS } from '#platform/ffi/syscalls.ts';
  import { SteppedClock } from '#platform/stepped-clock.testing.ts';
  let inVain = 0;
  const epollWait = (epoll, events, timeoutMs) => {
    const count = SYSCALLS.epollWait(epoll, events, timeoutMs);
    if (count === 0 && timeoutMs > 0) inVain++;
    return count;
  };
  new CoreIo(new SteppedClock(), keptMishaps(), { ...SYSCALLS, epollWait }).listen(boundSocket(), () => {});
  setTimeout(() => setTimeout(() => process.exit(inVain), 10), 10);
`;

test('a timer of Node.js is due when it is, though the loop has waited in between', () => {
  const { status } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', WITH_TIMER], { encoding: 'utf8' });
  assert.ok(status !== null && status <= 6, `it has waited ${status} times in vain for two timers`);
});

/** A worker that listens, connects to itself, and tells by `done` when it had a message, a timer and a connection. */
const IN_WORKER = `
  const { parentPort, workerData: done } = require('node:worker_threads');
  (async () => {
    const { CoreIo } = await import('#platform/io/core/core-io.ts');
    const { boundSocket, keptMishaps } = await import('#platform/io/contract/pairs.testing.ts');
    const { SYSCALLS } = await import('#platform/ffi/syscalls.ts');
    const { SteppedClock } = await import('#platform/stepped-clock.testing.ts');
    const epollWait = (...of) => { done[1]++; return SYSCALLS.epollWait(...of); };
    const io = new CoreIo(new SteppedClock(), keptMishaps(), { ...SYSCALLS, epollWait });
    const { promise: accepted, resolve } = Promise.withResolvers();
    const { port } = io.listen(boundSocket(), resolve);
    parentPort.on('message', () =>
      setTimeout(() => {
        require('node:net').connect(port, '127.0.0.1');
        accepted.then(() => { Atomics.store(done, 0, 1); Atomics.notify(done, 0); });
      }, 50));
    parentPort.postMessage('ready');
  })();
`;

/** Its main thread does nothing at all from when the worker is ready until it has heard of it. */
const WITH_WORKER = `
  import { Worker } from 'node:worker_threads';
  const done = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(${JSON.stringify(IN_WORKER)}, { eval: true, execArgv: [], workerData: done });
  worker.on('error', (error) => { console.error(error); process.exit(2); });
  worker.once('message', () => {
    worker.postMessage('begin');
    if (Atomics.wait(done, 0, 0, 10_000) === 'timed-out') process.exit(1);
    console.error('waits: ' + done[1]);
    process.exit(done[1] > 200 ? 3 : 0); // it went round and round for the libuv of another thread
  });
`;

test('a loop in a worker hears messages, timers and connections while the main thread is busy', () => {
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', WITH_WORKER], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
});

test('nobody waits for an event while a promise is kept', async () => {
  let kept = false;
  let waitedWithPromise = false;
  const calls: Syscalls = {
    ...SYSCALLS,
    epollWait(epoll, events, timeoutMs) {
      if (kept && timeoutMs !== 0) waitedWithPromise = true;
      return SYSCALLS.epollWait(epoll, events, timeoutMs);
    },
  };
  const io = new CoreIo(new SteppedClock(), SILENT_MISHAPS, calls);
  const listener = io.listen(boundSocket(), () => {});
  const inTurn = () =>
    new Promise<void>((resolve) =>
      io.loop.soon({
        run() {
          kept = true;
          resolve();
        },
      }),
    );
  for (let round = 0; round < 20; round++) {
    await inTurn(); // goes on where promises do: what it asks for next is done before the next wait
    kept = false;
  }
  listener.close();
  assert.equal(waitedWithPromise, false);
});

test('immediates of others that never end are no word about this Node.js', async () => {
  const mishaps = keptMishaps();
  let turns = 0;
  const calls: Syscalls = {
    ...SYSCALLS,
    epollWait(epoll, events, timeoutMs) {
      turns++;
      return SYSCALLS.epollWait(epoll, events, timeoutMs);
    },
  };
  const io = new CoreIo(new SteppedClock(), mishaps, calls, new Loop(calls, mishaps));
  const listener = io.listen(boundSocket(), () => {});
  while (turns < 3 * IO.silentTurnsMax) await new Promise((resolve) => setImmediate(resolve));
  listener.close();
  assert.deepEqual(mishaps.errors, []);
});

const OTHERS: readonly (readonly [name: string, told: RegExp, internals: NodeInternals])[] = [
  ['runs no promises within a turn', /_tickCallback/, { ...NODE_INTERNALS, tick: undefined }],
  ['hides no immediate from libuv', /immediate cannot be hidden/, { ...NODE_INTERNALS, forgetImmediate() {} }],
];

for (const [name, told, internals] of OTHERS) {
  test(`on a Node.js that ${name} bytes, timers and promises go on, and that is told once`, async () => {
    const mishaps = keptMishaps();
    const waits: number[] = [];
    const calls: Syscalls = {
      ...SYSCALLS,
      epollWait(epoll, events, timeoutMs) {
        waits.push(timeoutMs);
        return SYSCALLS.epollWait(epoll, events, timeoutMs);
      },
    };
    const tellings = (): number => mishaps.errors.filter((error) => told.test(String(error))).length;
    const clock = new SteppedClock();
    const io = new CoreIo(clock, mishaps, calls, new Loop(calls, mishaps, internals));
    const maker = tcpPairs({ io, clock, mishaps });
    try {
      await runSchedules(maker, 700_000_000, 40);
      while (tellings() === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      let rounds = Number.POSITIVE_INFINITY;
      // What the schedules left behind may still be on its way in the first of these.
      for (let window = 0; window < 5 && rounds >= 60; window++) {
        const before = waits.length;
        await new Promise((resolve) => setTimeout(resolve, 60));
        rounds = waits.length - before;
      }
      assert.ok(rounds < 60, `it went round ${rounds} times in 60 ms`);
      await runSchedules(maker, 700_001_000, 40);
    } finally {
      maker.close();
    }
    assert.equal(tellings(), 1);
  });
}
