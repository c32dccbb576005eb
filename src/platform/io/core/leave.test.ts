import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { ByteStream, StreamOver } from '#model/effects/byte-stream.ts';
import { SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';
import { boundSocket, keptMishaps } from '#platform/io/contract/pairs.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { CoreIo } from './core-io.ts';

const MUCH = Buffer.alloc(8 * 1024 * 1024, 'y');

/** What was asked of the kernel, of which a loop has one alone in its thread. */
const asked: string[] = [];
const calls: Syscalls = {
  ...SYSCALLS,
  shutdownWrite: (fd) => asked.push('shutdown') && SYSCALLS.shutdownWrite(fd),
  close: (fd) => asked.push('close') && SYSCALLS.close(fd),
};
const io = new CoreIo(new SteppedClock(), keptMishaps(), calls);

/** A client that never ends by itself, and what was accepted of it, which is read. */
async function accepted(t: TestContext): Promise<{ client: Socket; stream: ByteStream; over: Promise<StreamOver> }> {
  const accepting = Promise.withResolvers<ByteStream>();
  const listener = io.listen(boundSocket(), accepting.resolve);
  const client = connect({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => {
    client.destroy();
    listener.close();
  });
  const stream = await accepting.promise;
  const over = Promise.withResolvers<StreamOver>();
  stream.read({ bytes: (_buffer, start, end) => end - start, end() {}, writable() {}, over: over.resolve });
  asked.length = 0;
  return { client, stream, over: over.promise };
}

/** All that a client is sent, to the end in order. */
async function allOf(client: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of client) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

test('who leaves is over without the peer’s end, which has all that was written and then an end in order', async (t) => {
  const { client, stream, over } = await accepted(t);
  stream.write(Buffer.from('bye'), 0, 3);
  stream.leave?.();
  assert.equal(stream.isOver, false, 'nothing happens inside of the call');
  assert.deepEqual(await over, { kind: 'finished' });
  assert.equal(String(await allOf(client)), 'bye');
  assert.deepEqual(asked, ['close'], 'one call is enough');
});

test('who leaves before the kernel has taken all is not over until it has', async (t) => {
  const { client, stream, over } = await accepted(t);
  stream.write(MUCH, 0, MUCH.length);
  stream.leave?.();
  assert.ok(stream.pendingBytes > 0);
  assert.deepEqual(await allOf(client), MUCH);
  assert.deepEqual(await over, { kind: 'finished' });
});

test('who has ended may leave still, and once', async (t) => {
  const { client, stream, over } = await accepted(t);
  stream.end();
  assert.equal(String(await allOf(client)), '');
  stream.leave?.();
  stream.leave?.();
  assert.deepEqual(await over, { kind: 'finished' });
  assert.deepEqual(asked, ['shutdown', 'close']);
});
