import assert from 'node:assert/strict';
import net from 'node:net';
import { test } from 'node:test';
import { parseIdentity } from '#model/identity/identity.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { TunnelOutcome } from '#protocol/hbone/transport.ts';
import { createTestIdentities, opened, REQUEST, readAll, serverOf, startTestClient, until, WEB } from './peers.testing.ts';
import { createTestCa } from './test-ca.testing.ts';

const { ca, web, cart } = await createTestIdentities();

const serve = serverOf(cart);

function failureOf(outcome: TunnelOutcome): { flag: string; message: string } {
  assert.equal(outcome.kind, 'failed');
  return outcome.kind === 'failed' ? { flag: outcome.flag, message: outcome.error.message } : assert.fail();
}

test('a tunnel carries bytes both ways and knows the peer and its baggage', async (t) => {
  const { port } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const outcome = await pool.open(target(port), REQUEST);
  assert.ok(outcome.kind === 'open');
  assert.deepEqual([outcome.peer, outcome.baggage], [cart.identity, 'service.name=cart']);
  const stream = opened(outcome);
  stream.end('hello');
  assert.equal((await readAll(stream)).toString(), 'hello');
});

test('with a certificate at hand a tunnel waits for nobody else, and without one it is refused on a connection that is there', async (t) => {
  const { port } = await serve(t);
  let held: typeof web | null = web;
  let asked = 0;
  const credentials = async () => {
    asked++;
    if (held === null) throw new Error('planted');
    return held;
  };
  const { pool, target } = startTestClient(t, { source: web, peer: cart, credentials, current: () => held });
  for (let turn = 0; turn < 3; turn++) assert.equal((await pool.open(target(port), REQUEST)).kind, 'open');
  assert.deepEqual([asked, pool.size()], [1, 1]); // asked for the connection, not for the tunnels on it
  held = null;
  assert.equal(failureOf(await pool.open(target(port), REQUEST)).flag, 'IDENTITY_ERROR');
});

test('a connection is found by all that names it, whatever was asked for before', async (t) => {
  const { port } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart, current: () => web });
  const other = parseIdentity('spiffe://td.local/ns/shop/sa/other');
  assert.equal((await pool.open(target(port), REQUEST)).kind, 'open');
  assert.equal(failureOf(await pool.open(target(port, { peers: [other] }), REQUEST)).flag, 'TLS_FAILURE');
  assert.equal((await pool.open(target(port, { peers: [cart.identity, other] }), REQUEST)).kind, 'open');
  assert.equal((await pool.open(target(port), REQUEST)).kind, 'open');
  assert.equal(pool.size(), 2);
});

test('B4: a server with another identity is refused by name', async (t) => {
  const { port } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const { flag, message } = failureOf(
    await pool.open(target(port, { peers: [parseIdentity('spiffe://td.local/ns/shop/sa/other')] }), REQUEST),
  );
  assert.equal(flag, 'TLS_FAILURE');
  assert.match(message, /sa\/cart; expected .*sa\/other/);
  const either = { peers: [parseIdentity('spiffe://td.local/ns/shop/sa/other'), cart.identity] };
  assert.equal((await pool.open(target(port, either), REQUEST)).kind, 'open');
  assert.equal(pool.size(), 1);
});

test('a server of another root is refused', async (t) => {
  const { port } = await serve(t);
  const foreign = await (await createTestCa()).issue(WEB);
  const { pool, target } = startTestClient(t, { source: foreign, peer: cart });
  assert.equal(failureOf(await pool.open(target(port), REQUEST)).flag, 'TLS_FAILURE');
});

test('a server that rejects our certificate is a TLS failure, not an open tunnel', async (t) => {
  const { port } = await serve(t);
  const foreign = await ca.issue('spiffe://other.local/ns/shop/sa/web');
  const { pool, target } = startTestClient(t, { source: foreign, peer: cart });
  assert.equal(failureOf(await pool.open(target(port), REQUEST)).flag, 'TLS_FAILURE');
  assert.equal(pool.size(), 0);
});

/** The extension types of a ClientHello, and what it offers. */
function readClientHello(bytes: Buffer): { extensions: number[]; alpn: string[]; suites: number[]; versions: number[] } {
  let at = 5 + 4 + 2 + 32;
  at += 1 + bytes.readUInt8(at);
  const suites: number[] = [];
  for (let end = at + 2 + bytes.readUInt16BE(at), suite = at + 2; suite < end; suite += 2) suites.push(bytes.readUInt16BE(suite));
  at += 2 + bytes.readUInt16BE(at);
  at += 1 + bytes.readUInt8(at);
  const end = at + 2 + bytes.readUInt16BE(at);
  const hello = { extensions: [] as number[], alpn: [] as string[], suites, versions: [] as number[] };
  for (at += 2; at < end; at += 4 + bytes.readUInt16BE(at + 2)) {
    const type = bytes.readUInt16BE(at);
    hello.extensions.push(type);
    if (type === 16) hello.alpn.push(bytes.toString('latin1', at + 7, at + 7 + bytes.readUInt8(at + 6)));
    if (type === 43)
      for (let v = at + 5; v < at + 5 + bytes.readUInt8(at + 4); v += 2) hello.versions.push(bytes.readUInt16BE(v));
  }
  return hello;
}

test('B5: the ClientHello has no server name, offers only TLS 1.3, the two suites and h2', async (t) => {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const listener = net.createServer((socket) =>
    socket
      .on('error', () => {})
      .once('data', (chunk) => {
        resolve(chunk);
        socket.destroy();
      }),
  );
  t.after(() => listener.close());
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  await new Promise<void>((listening) => listener.listen(0, '127.0.0.1', listening));
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  const outcome = pool.open(target(address.port), REQUEST);
  const hello = readClientHello(await promise);
  const SERVER_NAME = 0;
  const PRE_SHARED_KEY = 41;
  assert.ok(!hello.extensions.includes(SERVER_NAME));
  assert.ok(!hello.extensions.includes(PRE_SHARED_KEY));
  assert.deepEqual(hello.alpn, ['h2']);
  assert.deepEqual(hello.versions, [0x0304]);
  const RENEGOTIATION_SCSV = 0x00ff;
  assert.deepEqual(
    hello.suites.filter((suite) => suite !== RENEGOTIATION_SCSV),
    [0x1302, 0x1301],
  );
  assert.equal(failureOf(await outcome).flag, 'TLS_FAILURE');
});

for (const status of [400, 401, 503]) {
  test(`a refusal with ${status} is an outcome, and the connection stays usable`, async (t) => {
    const { port } = await serve(t, (tunnel) => tunnel.refuse(status));
    const { pool, target, dialled } = startTestClient(t, { source: web, peer: cart });
    for (let turn = 0; turn < 3; turn++) assert.deepEqual(await pool.open(target(port), REQUEST), { kind: 'refused', status });
    assert.equal(dialled.length, 1);
  });
}

test('B16: at most 100 streams per connection, then a second one; a full one is used again when streams end', async (t) => {
  const { port, server } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const outcomes = await Promise.all(Array.from({ length: 150 }, () => pool.open(target(port), REQUEST)));
  const streams = outcomes.map(opened);
  assert.deepEqual(
    server
      .sessions()
      .map(({ tunnels }) => tunnels)
      .sort(),
    [100, 50],
  );
  for (const stream of streams.slice(0, 100)) stream.destroy();
  await until(() => server.sessions().reduce((sum, { tunnels }) => sum + tunnels, 0) === 50, 'the end of 100 streams');
  await Promise.all(Array.from({ length: 120 }, () => pool.open(target(port), REQUEST)));
  assert.equal(pool.size(), 2);
  assert.deepEqual(
    server
      .sessions()
      .map(({ tunnels }) => tunnels)
      .sort(),
    [100, 70],
  );
});

test('B17: 100 simultaneous first tunnels make one TLS handshake', async (t) => {
  const { port, accepted } = await serve(t);
  const { pool, target } = startTestClient(t, { source: web, peer: cart });
  const outcomes = await Promise.all(Array.from({ length: 100 }, () => pool.open(target(port), REQUEST)));
  assert.ok(outcomes.every(({ kind }) => kind === 'open'));
  assert.equal(accepted.length, 1);
});

test('B17: a failed handshake is reported to all who wait for it, and tried again by the next', async (t) => {
  const { port, accepted } = await serve(t);
  let broken = true;
  const wrong = await (await createTestCa()).issue(WEB);
  const credentials = async () => (broken ? wrong : web);
  const { pool, target } = startTestClient(t, { source: web, peer: cart, credentials });
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => pool.open(target(port), REQUEST)));
  assert.ok(outcomes.every(({ kind }) => kind === 'failed'));
  assert.equal(accepted.length, 1);
  broken = false;
  assert.equal((await pool.open(target(port), REQUEST)).kind, 'open');
});

test('B18: two source identities never share a connection, nor do two addresses or two sets of peers', async (t) => {
  const { port, accepted } = await serve(t);
  const other = await ca.issue('spiffe://td.local/ns/shop/sa/admin');
  const credentials = async (identity: { serviceAccount: string }) => (identity.serviceAccount === 'admin' ? other : web);
  const { pool, target } = startTestClient(t, { source: web, peer: cart, credentials });
  await pool.open(target(port), REQUEST);
  await pool.open(target(port, { source: other.identity }), REQUEST);
  await pool.open(target(port, { peers: [cart.identity, web.identity] }), REQUEST);
  await pool.open(target(port), REQUEST);
  assert.equal(accepted.length, 3);
});

test('failures name their flag: no certificate, nobody listening, a silent network', async (t) => {
  const clock = new SteppedClock();
  const credentials = () => Promise.reject(new Error('the CA is away'));
  const identityless = startTestClient(t, { source: web, peer: cart, credentials });
  assert.equal(failureOf(await identityless.pool.open(identityless.target(1), REQUEST)).flag, 'IDENTITY_ERROR');
  const { pool, target } = startTestClient(t, { source: web, peer: cart, clock });
  assert.equal(failureOf(await pool.open(target(1), REQUEST)).flag, 'CONNECT');
  const silent = startTestClient(t, {
    source: web,
    peer: cart,
    clock,
    dial: () => Promise.reject(Object.assign(new Error('silence'), { code: 'ETIMEDOUT' })),
  });
  assert.equal(failureOf(await silent.pool.open(silent.target(1), REQUEST)).flag, 'NETWORK_POLICY');
});
