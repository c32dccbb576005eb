import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { dialTcp, listenTcp } from '#platform/io/tcp.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';

const HERE = parseIp('127.0.0.1');
const TIMEOUT_MS = 1_000;

async function listening(t: TestContext, onConnection: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const server = await listenTcp(0, onConnection, SILENT_MISHAPS);
  t.after(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

test('TCP: what is dialled arrives, unread, and either end may close its half first', async (t) => {
  let accept: (socket: Socket) => void = () => {};
  const accepted = new Promise<Socket>((resolve) => {
    accept = resolve;
  });
  const { port } = await listening(t, (socket) => accept(socket));
  const clock = new SteppedClock();
  const socket = await dialTcp(HERE, port, TIMEOUT_MS, clock);
  const peer = await accepted;
  t.after(() => [socket, peer].map((end) => end.destroy()));
  socket.end('hello');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(peer.bytesRead, 0);
  assert.equal(peer.isPaused(), true);
  peer.resume();
  await once(peer, 'end');
  assert.equal(peer.bytesRead, 5);
  assert.equal(peer.writable, true);
  peer.end('bye');
  assert.equal(String((await once(socket, 'data'))[0]), 'bye');
  clock.advance(10 * TIMEOUT_MS); // the timer of the dial is gone
  assert.equal(socket.errored, null);
});

test('TCP: nobody there is the socket’s own error', async (t) => {
  const { server, port } = await listening(t, () => {});
  server.close();
  await once(server, 'close');
  await assert.rejects(dialTcp(HERE, port, TIMEOUT_MS, new SteppedClock()), { code: 'ECONNREFUSED' });
});

test('TCP: an address that does not answer in time is ETIMEDOUT', async (t) => {
  const { port } = await listening(t, (socket) => socket.destroy());
  const clock = new SteppedClock();
  const dialling = dialTcp(HERE, port, TIMEOUT_MS, clock);
  clock.advance(TIMEOUT_MS);
  await assert.rejects(dialling, { code: 'ETIMEDOUT' });
});

test('TCP: a port that is taken is refused', async (t) => {
  const { port } = await listening(t, () => {});
  await assert.rejects(
    listenTcp(port, () => {}, SILENT_MISHAPS),
    { code: 'EADDRINUSE' },
  );
});
