import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import {
  connectTls,
  createTestIdentities,
  dialLoopback,
  opened,
  REQUEST,
  recordingLog,
  serverOf,
  startTestClient,
  until,
} from './peers.testing.ts';
import { createTestCa } from './test-ca.testing.ts';

const { web, cart } = await createTestIdentities();
const serve = serverOf(cart);
/** The first bytes of a ClientHello: the rest of the record never comes. */
const HALF_A_HELLO = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252]);
const SMALL = { ...DOOR_LIMITS, waitingMax: 8, strangersMax: 6, perStrangerMax: 6 };

/** Dials from an address of the loopback network: each is a source of its own. */
async function dialFrom(t: TestContext, port: number, localAddress: string): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => {});
  t.after(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** However it ends: `once` would take an error for a failure of the test. */
function gone(socket: net.Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });
}

test('a byte now and then buys no time, silence after the handshake neither', async (t) => {
  const clock = new SteppedClock();
  const causes: string[] = [];
  const { port, accepted } = await serve(t, () => {}, { clock, onRefused: (cause) => causes.push(cause) });
  const slow = await dialFrom(t, port, '127.0.0.2');
  const silent = connectTls(t, port, web);
  silent.resume();
  await until(() => accepted.length === 2, 'both connections');
  for (const byte of HALF_A_HELLO) {
    slow.write(Uint8Array.of(byte));
    clock.advance(1_000);
  }
  assert.deepEqual([slow.destroyed, silent.destroyed], [false, false]);
  clock.advance(1_000);
  await Promise.all([gone(slow), gone(silent)]);
  assert.deepEqual(causes, ['unproved', 'unproved']);
});

test('idle connections of one host make room for each other, and a tunnel from elsewhere opens', async (t) => {
  const closed: string[] = [];
  const { log, lines } = recordingLog();
  const { port, server } = await serve(t, undefined, {
    log,
    door: { limits: SMALL, onClosed: (cause) => closed.push(cause) },
  });
  const idle: net.Socket[] = [];
  for (let at = 0; at < 30; at++) idle.push(await dialFrom(t, port, '127.0.0.2'));
  const client = startTestClient(t, { source: web, peer: cart });
  opened(await client.pool.open(client.target(port), REQUEST));
  await until(() => closed.length >= 24, 'room for others');
  assert.equal(server.sessions().length, 1);
  assert.match(lines[0] ?? '', /warn: HBONE connection closed: it made room.* 127\.0\.0\.2:/);
  assert.equal(idle.filter((socket) => !socket.destroyed).length <= 6, true);
});

test('certificates of a foreign authority cost their source its pace, and nobody else', async (t) => {
  const foreign = await (await createTestCa()).issue('spiffe://td.local/ns/shop/sa/web');
  const closed: string[] = [];
  const pace = { ...DOOR_LIMITS.pace, burst: 20 };
  const { port } = await serve(t, undefined, {
    door: { limits: { ...DOOR_LIMITS, pace }, onClosed: (cause) => closed.push(cause) },
  });
  for (let at = 0; at < 12; at++) {
    const from: object = { localAddress: '127.0.0.3', rejectUnauthorized: false }; // an option of net.connect, which tls.connect passes on
    await gone(connectTls(t, port, foreign, from));
  }
  assert.equal(closed.includes('too-fast'), true);
  const client = startTestClient(t, { source: web, peer: cart });
  opened(await client.pool.open(client.target(port), REQUEST));
});

test('a source that once had a tunnel keeps its place when strangers flood', async (t) => {
  const { port } = await serve(t, undefined, { door: { limits: SMALL } });
  const client = startTestClient(t, { source: web, peer: cart });
  opened(await client.pool.open(client.target(port), REQUEST));
  const waiting = await dialLoopback(port); // of 127.0.0.1, as the tunnel's
  waiting.on('error', () => {});
  t.after(() => waiting.destroy());
  for (let host = 10; host < 60; host++) await dialFrom(t, port, `127.0.0.${host}`);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(waiting.destroyed, false);
});
