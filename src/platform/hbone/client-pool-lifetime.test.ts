import assert from 'node:assert/strict';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import tls from 'node:tls';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { InboundTunnel } from '#protocol/hbone/transport.ts';
import { goawayFrame, headersFrames, settingsFrame } from '#protocol/http/v2/frame-writer.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import {
  createTestIdentities,
  dialLoopback,
  listenOnLoopback,
  opened,
  REQUEST,
  readAll,
  serverOf,
  startTestClient,
  tlsOptions,
  until,
  WEB,
} from './peers.testing.ts';

const { ca, web, cart } = await createTestIdentities();

const serve = serverOf(cart);

/** A header block that says :status 200. */
const OPEN = Buffer.from('88', 'hex');

/** Whether HEADERS are among the frames that were read at once. */
function hasConnect(chunk: Buffer): boolean {
  const preface = chunk.subarray(0, 3).toString() === 'PRI' ? 24 : 0;
  for (let at = preface; at + 9 <= chunk.length; at += 9 + chunk.readUIntBE(at, 3)) if (chunk[at + 3] === 1) return true;
  return false;
}

/** A TLS server that speaks only the bytes a test gives it. */
async function scriptedServer(t: TestContext, onConnection: (socket: tls.TLSSocket) => void): Promise<number> {
  const sockets = new Set<net.Socket>();
  const server = tls.createServer({ ...tlsOptions(cart), requestCert: true, ALPNProtocols: ['h2'] }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
  });
  return listenOnLoopback(t, server);
}

test('B19: an unused connection closes after 5 minutes, one in use does not', async (t) => {
  const clock = new SteppedClock();
  const { port, server } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart, clock });
  const stream = opened(await pool.open(target(port), REQUEST));
  for (let at = 0; at < 60; at++) {
    clock.advance(10_000);
    // Our PINGs are answered over the real socket.
    await new Promise((resolve) => setImmediate(resolve));
    await until(() => clock.pendingMs().some((ms) => ms <= 10_000), 'the answer to PING');
  }
  assert.equal(pool.size(), 1);
  stream.end();
  await readAll(stream);
  await until(() => server.sessions()[0]?.tunnels === 0, 'the end of the tunnel');
  const idle = () => clock.pendingMs().filter((ms) => ms > 20_000);
  await until(() => idle().length === 1, 'the idle timer');
  assert.deepEqual(idle(), [300_000]);
  const stepTo = async (ms: number) => {
    for (let left = ms; left > 0; left -= 10_000) {
      clock.advance(Math.min(left, 10_000));
      await until(() => pool.size() === 0 || clock.pendingMs().some((due) => due <= 10_000), 'the answer to PING');
    }
  };
  await stepTo(299_999);
  assert.equal(pool.size(), 1);
  clock.advance(1);
  await until(() => pool.size() === 0 && server.sessions().length === 0, 'the close');
});

test('B20: after GOAWAY new tunnels use a new connection, and old streams finish', async (t) => {
  const { port, server, accepted } = await serve(t);
  const second = await serve(t);
  let dialPort = port;
  const { pool, target } = startTestClient(t, { source: web, peer: cart, dial: () => dialLoopback(dialPort) });
  const old = opened(await pool.open(target(15_008), REQUEST));
  void server.drain(60_000);
  dialPort = second.port;
  await until(() => accepted.length === 1 && server.sessions().length === 1, 'GOAWAY');
  await until(() => pool.size() === 1, 'the old connection');
  let fresh = opened(await pool.open(target(15_008), REQUEST));
  for (let turn = 0; second.accepted.length === 0 && turn < 50; turn++) {
    fresh.destroy();
    fresh = opened(await pool.open(target(15_008), REQUEST));
  }
  assert.deepEqual([accepted.length, second.accepted.length], [1, 1]);
  old.end('finished');
  assert.equal((await readAll(old)).toString(), 'finished');
  await until(() => server.sessions().length === 0 && pool.size() === 1, 'the end of the old connection');
  fresh.end('new');
  assert.equal((await readAll(fresh)).toString(), 'new');
});

test('B20: a CONNECT that GOAWAY leaves unserved is tried again on a new connection', async (t) => {
  let connections = 0;
  const port = await scriptedServer(t, (socket) => {
    const first = ++connections === 1;
    socket.write(settingsFrame([]));
    socket.on('data', (chunk) => {
      if (!hasConnect(chunk)) return;
      socket.write(first ? goawayFrame(0, 0, '') : headersFrames(1, OPEN, false, 16_384));
    });
  });
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  assert.equal((await pool.open(target(port), REQUEST)).kind, 'open');
  assert.equal(connections, 2);
});

test('B21: a server that ignores PING is dropped within 30 s, and its streams fail', async (t) => {
  const clock = new SteppedClock();
  const port = await scriptedServer(t, (socket) => {
    socket.write(settingsFrame([]));
    socket.on('data', (chunk) => {
      if (hasConnect(chunk)) socket.write(headersFrames(1, OPEN, false, 16_384));
    });
  });
  const { pool, target } = startTestClient(t, { source: web, peer: cart, clock });
  const stream = opened(await pool.open(target(port), REQUEST));
  const failed = new Promise<Error>((resolve) => stream.on('error', resolve));
  clock.advance(29_999);
  assert.equal(pool.size(), 1);
  clock.advance(1);
  await failed;
  await until(() => pool.size() === 0, 'the drop');
});

test('the handshake is given up after 10 s, in TLS and in HTTP/2, and each has its flag', async (t) => {
  const clock = new SteppedClock();
  const mute = net.createServer((socket) => void socket.on('error', () => {}).resume());
  const mutePort = await listenOnLoopback(t, mute);
  const { pool, target, dialled } = startTestClient(t, { source: web, peer: cart, clock });
  const stalled = pool.open(target(mutePort), REQUEST);
  await until(() => dialled.length === 1 && clock.pendingMs().length === 1, 'the handshake');
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  const tlsOutcome = await stalled;
  assert.ok(tlsOutcome.kind === 'failed' && tlsOutcome.flag === 'TLS_FAILURE');

  let secured = 0;
  const quietPort = await scriptedServer(t, (socket) => {
    secured++;
    socket.resume();
  });
  const quiet = pool.open(target(quietPort), REQUEST);
  // Idle, keepalive and settings timers show that the connection waits for the peer's settings.
  await until(() => secured === 1 && clock.pendingMs().length === 3, 'the wait for SETTINGS');
  clock.advance(10_000);
  const http2Outcome = await quiet;
  assert.ok(http2Outcome.kind === 'failed' && http2Outcome.flag === 'H2_HANDSHAKE_FAILURE');
  await until(() => pool.size() === 0, 'the close');
});

test('a CONNECT that is never answered fails after 20 s', async (t) => {
  const clock = new SteppedClock();
  const tunnels: InboundTunnel[] = [];
  const { port } = await serve(t, (tunnel) => void tunnels.push(tunnel));
  const { pool, target } = startTestClient(t, { source: web, peer: cart, clock });
  const outcome = pool.open(target(port), REQUEST);
  await until(() => tunnels.length === 1, 'the CONNECT');
  clock.advance(9_999);
  clock.advance(1);
  await until(() => clock.pendingMs().every((ms) => ms <= 10_000), 'the answer to PING');
  clock.advance(10_000);
  const result = await outcome;
  assert.ok(result.kind === 'failed' && result.flag === 'CONNECT');
});

test('a renewed certificate is used for new connections while old tunnels go on', async (t) => {
  let current = web;
  const { port, accepted } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart, credentials: async () => current });
  const old = opened(await pool.open(target(port), REQUEST));
  current = await ca.issue(WEB);
  const fresh = opened(await pool.open(target(port), REQUEST));
  assert.equal(accepted.length, 2);
  old.end('old');
  fresh.end('fresh');
  assert.deepEqual([(await readAll(old)).toString(), (await readAll(fresh)).toString()], ['old', 'fresh']);
  await until(() => pool.size() === 1, 'the end of the old connection');
});

test('closing the pool: softly lets streams finish, immediately cuts them; new tunnels fail either way', async (t) => {
  const { port } = await serve(t);
  const soft = startTestClient(t, { source: web, peer: cart });
  const stream = opened(await soft.pool.open(soft.target(port), REQUEST));
  soft.pool.close(false);
  assert.equal((await soft.pool.open(soft.target(port), REQUEST)).kind, 'failed');
  stream.end('done');
  assert.equal((await readAll(stream)).toString(), 'done');
  await until(() => soft.pool.size() === 0, 'the end');
  const hard = startTestClient(t, { source: web, peer: cart });
  const cut = opened(await hard.pool.open(hard.target(port), REQUEST));
  const error = new Promise((resolve) => cut.on('error', resolve));
  hard.pool.close(true);
  await error;
  await until(() => hard.pool.size() === 0, 'the cut');
});

test('a tunnel that the peer resets fails with ECONNRESET, one that loses its connection as well', async (t) => {
  const streams: Duplex[] = [];
  const { port, accepted } = await serve(t, (tunnel) => void streams.push(asDuplex(tunnel.accept(''))));
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const codeOf = (stream: Duplex) =>
    new Promise<unknown>((resolve) => stream.on('error', (error) => resolve(Reflect.get(error, 'code'))));
  const reset = codeOf(opened(await pool.open(target(port), REQUEST)));
  streams[0]?.destroy();
  assert.equal(await reset, 'ECONNRESET');
  const lost = codeOf(opened(await pool.open(target(port), REQUEST)));
  accepted[0]?.destroy();
  assert.equal(await lost, 'ECONNRESET');
});
