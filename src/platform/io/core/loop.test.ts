import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';
import { boundSocket } from '#platform/io/contract/pairs.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { CoreIo } from './core-io.ts';

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
