import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { type TestContext, test } from 'node:test';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { systemClock } from '#platform/clock.ts';
import { NodeIo } from '#platform/io/node/node-io.ts';
import { type RelayResult, relayed } from '#protocol/stream/relay.ts';
import {
  createTestIdentities,
  dialLoopback,
  listenOnLoopback,
  REQUEST,
  readAll,
  startTestClient,
  startTestServer,
  until,
} from './peers.testing.ts';

// The whole way of a connection between two nodes: app, relay, tunnel, relay, app.

const { web, cart } = await createTestIdentities();

const BULK = randomBytes(16 << 20);
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const codeOf = (error: unknown) => (error instanceof Error ? Reflect.get(error, 'code') : null);

type Way = {
  /** A client app's connection and the server app's end of it. */
  connect(): Promise<[client: net.Socket, server: net.Socket]>;
  results: Record<'near' | 'far', RelayResult[]>;
};

const io = new NodeIo(systemClock, SILENT_MISHAPS);

async function openWay(t: TestContext): Promise<Way> {
  const results = { near: [] as RelayResult[], far: [] as RelayResult[] };
  const arrivals: ((socket: net.Socket) => void)[] = [];
  const appPort = await listenOnLoopback(
    t,
    net.createServer({ allowHalfOpen: true }, (socket) => arrivals.shift()?.(socket)),
  );
  const { port } = await startTestServer(t, {
    credentials: async () => cart,
    onTunnel: async (tunnel) => void results.far.push(await relayed(tunnel.accept(''), io.adopt(await dialLoopback(appPort)))),
  });
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const agent = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (socket) => {
    const outcome = await pool.open(target(port), REQUEST);
    if (outcome.kind === 'open') results.near.push(await relayed(io.adopt(socket), outcome.stream));
  });
  const agentPort = await listenOnLoopback(t, agent);
  const connect = async (): Promise<[net.Socket, net.Socket]> => {
    const arrival = new Promise<net.Socket>((resolve) => arrivals.push(resolve));
    const client = await dialLoopback(agentPort);
    const server = await arrival;
    t.after(() => {
      client.destroy();
      server.destroy();
    });
    return [client, server];
  };
  return { connect, results };
}

test('B22: a half-close crosses the tunnel, and the reply still flows back', async (t) => {
  const { connect, results } = await openWay(t);
  const [client, server] = await connect();
  client.end('question');
  assert.equal((await readAll(server)).toString(), 'question');
  server.end('answer');
  assert.equal((await readAll(client)).toString(), 'answer');
  await until(() => results.near.length === 1 && results.far.length === 1, 'the end of both relays');
  assert.deepEqual(results.near, [{ bytesFromA: 8, bytesFromB: 6, error: null, brokenBy: null }]);
  assert.deepEqual(results.far, [{ bytesFromA: 8, bytesFromB: 6, error: null, brokenBy: null }]);
});

test('megabytes cross both ways at once, unchanged', async (t) => {
  const { connect } = await openWay(t);
  const [client, server] = await connect();
  client.end(BULK);
  server.end(BULK.subarray(5));
  const [up, down] = await Promise.all([readAll(server), readAll(client)]);
  assert.deepEqual([digest(up), digest(down)], [digest(BULK), digest(BULK.subarray(5))]);
});

test('a reader that stands still stops the sender, costs no more than the windows, and blocks nobody else', async (t) => {
  const { connect } = await openWay(t);
  const [client, server] = await connect();
  server.pause();
  let sent = 0;
  const bytes = Buffer.alloc(1 << 20, 'x');
  const write = () => {
    while (sent < 64 << 20 && client.write(bytes)) sent += bytes.length;
    if (sent < 64 << 20) client.once('drain', write);
  };
  write();
  const [other, otherServer] = await connect();
  other.end(BULK);
  assert.equal(digest(await readAll(otherServer)), digest(BULK));
  // What the kernel's buffers, the stream's window of 4 MiB and the relays hold.
  assert.ok(sent < 48 << 20, `${sent >> 20} MiB were taken`);
});

test('F5: readers that stand still hold up nobody, however many they are', async (t) => {
  const { connect } = await openWay(t);
  const chunk = Buffer.alloc(128 << 10, 'x');
  for (let at = 0; at < 6; at++) {
    const [client, server] = await connect();
    client.pause();
    // More than what the kernel, the relays and a stream's window hold: it never drains.
    for (let bytes = 0; bytes < 64 << 20; bytes += chunk.length) server.write(chunk);
    await still(() => server.writableLength);
  }
  const [client, server] = await connect();
  const bytes = BULK.subarray(0, 1 << 20);
  client.end(bytes);
  assert.equal(digest(await readAll(server)), digest(bytes));
  server.end(bytes);
  assert.equal(digest(await readAll(client)), digest(bytes));
});

/** Resolves when what is measured has not changed for a while: nothing else tells that a sender stands. */
async function still(measure: () => number): Promise<void> {
  for (let same = 0, before = measure(); same < 4; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    same = measure() === before ? same + 1 : 0;
    before = measure();
  }
}

test('pings of 64 bytes come back one by one', async (t) => {
  const { connect } = await openWay(t);
  const [client, server] = await connect();
  server.on('data', (chunk) => server.write(chunk));
  for (let turn = 0; turn < 500; turn++) {
    client.write(Buffer.alloc(64, turn));
    let echoed = Buffer.alloc(0);
    while (echoed.length < 64) {
      const [chunk] = await once(client, 'data');
      assert.ok(Buffer.isBuffer(chunk));
      echoed = Buffer.concat([echoed, chunk]);
    }
    assert.deepEqual(echoed, Buffer.alloc(64, turn));
  }
});

for (const side of ['client', 'server'] as const) {
  test(`a reset by the ${side} app reaches the other app as a reset`, async (t) => {
    const { connect, results } = await openWay(t);
    const [client, server] = await connect();
    client.write('x');
    await once(server, 'data');
    const [resetting, told] = side === 'client' ? [client, server] : [server, client];
    const error = once(told.resume(), 'error');
    resetting.resetAndDestroy();
    assert.equal(codeOf((await error)[0]), 'ECONNRESET');
    await until(() => results.near.length === 1 && results.far.length === 1, 'the end of both relays');
    assert.deepEqual(
      [...results.near, ...results.far].map((result) => codeOf(result.error)),
      ['ECONNRESET', 'ECONNRESET'],
    );
  });
}

test('fifty connections share the tunnel connection and keep their own bytes', async (t) => {
  const { connect } = await openWay(t);
  for (let round = 0; round < 5; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async (_, at) => {
        const [client, server] = await connect();
        const bytes = BULK.subarray(at * 4_096, at * 4_096 + 300_000 + at);
        server.pipe(server);
        client.end(bytes);
        assert.equal(digest(await readAll(client)), digest(bytes));
      }),
    );
  }
});
