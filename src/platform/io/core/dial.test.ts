import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import type { ByteStream, Dialled } from '#model/effects/byte-stream.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import { SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';
import { boundSocket, keptMishaps, tcpSocket } from '#platform/io/contract/pairs.testing.ts';
import type { Listener } from '#platform/io/io.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { CoreIo } from './core-io.ts';

const LOOPBACK = parseIp('127.0.0.1');
const DEADLINE_MS = 10_000;

/** What the loop of this thread calls; a thread has one alone, so that each test says what connect(2) is in it. */
const calls: Syscalls = { ...SYSCALLS };
const io = new CoreIo(new SteppedClock(), keptMishaps(), calls);

function dialWith(connect: Syscalls['connect'], port: number, fd = tcpSocket()): Dialled | Promise<Dialled> {
  calls.connect = connect;
  return io.connect(fd, { ip: LOOPBACK, port }, DEADLINE_MS);
}

/** Keeps what it accepts until the test is over: one that was reset meanwhile could not be told from one that failed. */
function listening(t: TestContext): Listener {
  const accepted: ByteStream[] = [];
  const listener = io.listen(boundSocket(), (stream) => void accepted.push(stream));
  t.after(() => {
    for (const stream of accepted) stream.reset();
    listener.close();
  });
  return listener;
}

test('who listens on this host is connected when the call is back, and can be written to and left at once', (t) => {
  const dialled = dialWith(SYSCALLS.connect, listening(t).port);
  assert.ok(!(dialled instanceof Promise) && dialled.kind === 'open');
  assert.notEqual(dialled.stream.local.port, 0);
  dialled.stream.write(Buffer.from('x'), 0, 1);
  dialled.stream.reset();
});

test('what fails at once is told at once, and its descriptor is closed', () => {
  const fd = tcpSocket();
  assert.deepEqual(
    dialWith(() => -ERRNO.refused, 1, fd),
    { kind: 'refused', code: 'ECONNREFUSED' },
  );
  assert.throws(() => closeSync(fd), /EBADF/);
});

test('what is still under way is waited for', async (t) => {
  let asked = 0;
  const late: Syscalls['connect'] = (...of) => (asked++ === 0 ? SYSCALLS.connect(...of) && -ERRNO.inProgress : -ERRNO.already);
  const dialling = dialWith(late, listening(t).port);
  assert.ok(dialling instanceof Promise);
  const dialled = await dialling;
  assert.ok(dialled.kind === 'open');
  dialled.stream.reset();
});
