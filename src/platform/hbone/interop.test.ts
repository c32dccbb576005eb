import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http2 from 'node:http2';
import { type Duplex, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { asDuplex } from '#protocol/stream/duplex.ts';
import {
  answerOf,
  connectHttp2,
  connectStream,
  createTestIdentities,
  echo,
  listenOnLoopback,
  opened,
  REQUEST,
  readAll,
  startTestClient,
  startTestServer,
  tlsOptions,
  until,
} from './peers.testing.ts';

// node:http2 (nghttp2) stands for every other implementation: it codes headers with Huffman and a dynamic table, has
// frames of 16 KiB and windows of 64 KiB unless told otherwise, and updates windows in its own rhythm.

const { web, cart } = await createTestIdentities();

const BULK = randomBytes(8 << 20);
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** A node:http2 server; its streams are handed to `onStream`. */
async function startHttp2Server(
  t: TestContext,
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, raw: string[]) => void,
  settings: http2.Settings = {},
): Promise<number> {
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = http2.createSecureServer({ ...tlsOptions(cart), requestCert: true, rejectUnauthorized: true, settings });
  server.on('session', (session) => sessions.add(session));
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders, _flags: number, raw: string[]) =>
    onStream(stream, headers, raw),
  );
  t.after(() => {
    for (const session of sessions) session.destroy();
  });
  return listenOnLoopback(t, server);
}

/** Writes in pieces of every size and waits for the stream as a careful user does. */
function feed(stream: Duplex | http2.Http2Stream, bytes: Buffer): void {
  const pieces = function* () {
    for (let at = 0, length = 1; at < bytes.length; at += length, length = 1 + ((length * 7) % 70_001))
      yield bytes.subarray(at, at + length);
  };
  Readable.from(pieces()).pipe(stream);
}

test('B13: headers reach a foreign server exactly as they must', async (t) => {
  let seen: string[] = [];
  const port = await startHttp2Server(t, (stream, _headers, raw) => {
    seen = raw;
    stream.respond({
      ':status': 200,
      baggage: 'service.name=cart',
      'x-long': 'ü'.repeat(50) + '~!@#$%^&*()_+{}|:"<>?`\\'.repeat(9),
    });
  });
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const outcome = await pool.open(target(port), REQUEST);
  assert.ok(outcome.kind === 'open');
  assert.equal(outcome.baggage, 'service.name=cart');
  const { authority, baggage, traceparent } = REQUEST;
  const want = [
    ':method',
    'CONNECT',
    ':authority',
    authority,
    'baggage',
    baggage,
    'forwarded',
    'for="127.0.0.1:40000"',
    'traceparent',
    traceparent,
  ];
  assert.deepEqual(seen, want);
});

const foreignSettings: [string, http2.Settings][] = [
  ['default settings', {}],
  ['frames of 1 MiB, windows of 4 MiB', { maxFrameSize: 1 << 20, initialWindowSize: 4 << 20 }],
  ['a window of 1 KiB', { initialWindowSize: 1024 }],
];
for (const [name, settings] of foreignSettings) {
  test(`a foreign server with ${name} echoes megabytes unchanged`, async (t) => {
    const bytes = settings.initialWindowSize === 1024 ? BULK.subarray(0, 1 << 20) : BULK;
    const port = await startHttp2Server(
      t,
      (stream) => {
        stream.respond({ ':status': 200 });
        stream.pipe(stream);
      },
      settings,
    );
    const { pool, target } = startTestClient(t, { source: web, peer: cart });
    const stream = opened(await pool.open(target(port), REQUEST));
    feed(stream, bytes);
    assert.equal(digest(await readAll(stream)), digest(bytes));
  });

  test(`a foreign client with ${name} gets megabytes back unchanged`, async (t) => {
    const bytes = settings.initialWindowSize === 1024 ? BULK.subarray(0, 1 << 20) : BULK;
    const { port } = await startTestServer(t, { credentials: async () => cart, onTunnel: echo });
    const stream = connectStream(connectHttp2(t, port, web, settings));
    assert.equal((await answerOf(stream)).status, 200);
    feed(stream, bytes);
    assert.equal(digest(await readAll(stream)), digest(bytes));
  });
}

test('twenty tunnels on one connection carry their own bytes, while one reader stands still', async (t) => {
  const { port, server } = await startTestServer(t, { credentials: async () => cart, onTunnel: echo });
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const stuck = opened(await pool.open(target(port), REQUEST));
  stuck.write(BULK.subarray(0, 6 << 20));
  const streams = await Promise.all(Array.from({ length: 20 }, async () => opened(await pool.open(target(port), REQUEST))));
  const results = streams.map(async (stream, at) => {
    const bytes = BULK.subarray(at * 1000, at * 1000 + (1 << 20) + at);
    feed(stream, bytes);
    assert.equal(digest(await readAll(stream)), digest(bytes));
  });
  await Promise.all(results);
  assert.equal(server.sessions().length, 1);
  stuck.end();
  assert.equal(digest(await readAll(stuck)), digest(BULK.subarray(0, 6 << 20)));
});

test('a foreign server that resets with NO_ERROR after its answer is an end, not an error', async (t) => {
  const port = await startHttp2Server(t, (stream) => {
    stream.respond({ ':status': 200 });
    stream.end('all there is', () => stream.close(http2.constants.NGHTTP2_NO_ERROR));
  });
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const stream = opened(await pool.open(target(port), REQUEST));
  assert.equal((await readAll(stream)).toString(), 'all there is');
});

test('a foreign client that cancels is an ECONNRESET for the owner of the tunnel', async (t) => {
  const codes: unknown[] = [];
  const { port } = await startTestServer(t, {
    credentials: async () => cart,
    onTunnel: (tunnel) => void asDuplex(tunnel.accept('')).on('error', (error) => codes.push(Reflect.get(error, 'code'))),
  });
  const stream = connectStream(connectHttp2(t, port, web));
  await answerOf(stream);
  stream.on('error', () => {});
  stream.close(http2.constants.NGHTTP2_CANCEL);
  await until(() => codes.length === 1, 'the reset');
  assert.deepEqual(codes, ['ECONNRESET']);
});
