import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { type Duplex, duplexPair, Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { relay } from '#platform/relay/relay.ts';

const BULK = randomBytes(12 << 20);
const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** Both ends of a TCP connection over loopback. */
async function tcpPair(t: TestContext): Promise<[client: net.Socket, server: net.Socket]> {
  const listener = net.createServer({ allowHalfOpen: true, pauseOnConnect: true });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  const client = net.connect({ port: address.port, host: '127.0.0.1', allowHalfOpen: true });
  const [server] = await once(listener, 'connection');
  assert.ok(server instanceof net.Socket);
  if (client.connecting) await once(client, 'connect');
  listener.close();
  t.after(() => {
    client.destroy();
    server.destroy();
  });
  return [client, server];
}

async function readAll(stream: Duplex): Promise<Buffer> {
  // Not by iteration: that would destroy the stream at its end, and with it the other direction.
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
  await once(stream, 'end');
  return Buffer.concat(chunks);
}

function feed(stream: Duplex, bytes: Buffer): void {
  const pieces = function* () {
    for (let at = 0, length = 1; at < bytes.length; at += length, length = 1 + ((length * 7) % 90_001))
      yield bytes.subarray(at, at + length);
  };
  Readable.from(pieces()).pipe(stream);
}

const codeOf = (error: unknown) => (error instanceof Error ? Reflect.get(error, 'code') : null);

test('B22: the end of one side reaches the other, and the reply still flows back', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  const done = relay(a, b);
  client.end('question');
  assert.equal((await readAll(server)).toString(), 'question');
  server.end('answer');
  assert.equal((await readAll(client)).toString(), 'answer');
  assert.deepEqual(await done, { bytesFromA: 8, bytesFromB: 6, error: null, brokenBy: null });
  assert.ok(a.destroyed && b.destroyed);
});

test('megabytes cross in both directions at once, in order', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  const done = relay(a, b);
  feed(client, BULK);
  feed(server, BULK.subarray(7));
  const [up, down] = await Promise.all([readAll(server), readAll(client)]);
  assert.equal(digest(up), digest(BULK));
  assert.equal(digest(down), digest(BULK.subarray(7)));
  assert.deepEqual(await done, { bytesFromA: BULK.length, bytesFromB: BULK.length - 7, error: null, brokenBy: null });
});

test('a reader that stands still holds the sender back, and loses nothing', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  let relayed = 0;
  const done = relay(a, b, { onBytes: (_from, bytes) => (relayed += bytes) });
  feed(client, BULK);
  let before = -1;
  // Quiet for many turns: whatever the kernel and the relay hold by then is their limit.
  for (let quiet = 0; quiet < 2_000; quiet++) {
    if (relayed !== before) quiet = 0;
    before = relayed;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(relayed < BULK.length, `${relayed} of ${BULK.length} bytes were taken`);
  assert.ok(b.writableLength < 1 << 20, `${b.writableLength} bytes wait in the relay`);
  assert.equal(digest(await readAll(server)), digest(BULK));
  server.end();
  await readAll(client);
  assert.equal((await done).error, null);
});

test('a reset of one side is a reset of the other', async (t) => {
  for (const side of ['a', 'b'] as const) {
    const [client, a] = await tcpPair(t);
    const [b, server] = await tcpPair(t);
    const done = relay(a, b);
    client.write('x');
    await once(server.resume(), 'data');
    const [resetting, told] = side === 'a' ? [client, server] : [server, client];
    const error = once(told.resume(), 'error');
    resetting.resetAndDestroy();
    assert.equal(codeOf((await error)[0]), 'ECONNRESET');
    const result = await done;
    assert.equal(codeOf(result.error), 'ECONNRESET');
    assert.equal(result.brokenBy, side);
  }
});

test('the signal cuts both sides with resets, and its reason is the error', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  const abort = new AbortController();
  const done = relay(a, b, { signal: abort.signal });
  client.write('x');
  await once(server.resume(), 'data');
  const errors = Promise.all([once(client.resume(), 'error'), once(server, 'error')]);
  const reason = new Error('policy change');
  abort.abort(reason);
  assert.deepEqual(
    (await errors).map(([error]) => codeOf(error)),
    ['ECONNRESET', 'ECONNRESET'],
  );
  assert.deepEqual(await done, { bytesFromA: 1, bytesFromB: 0, error: reason, brokenBy: null });
  const late = relay(...((await Promise.all([tcpPair(t), tcpPair(t)])).map(([one]) => one) as [net.Socket, net.Socket]), {
    signal: abort.signal,
  });
  assert.equal((await late).error, reason);
});

test('a side that is cut just as its end is being sent gives its descriptor back', async (t) => {
  const sockets = () => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  const before = sockets();
  for (const far of [client, server]) far.on('error', () => {}); // they are reset
  const cut = new AbortController();
  const sendEnd = b._final.bind(b);
  b._final = (sent) => {
    sendEnd(sent);
    cut.abort(new Error('cut')); // the shutdown is under way, and libuv refuses a reset now
  };
  const done = relay(a, b, { signal: cut.signal });
  client.end('x');
  assert.equal((await done).error?.message, 'cut');
  client.destroy();
  server.destroy();
  for (let turn = 0; turn < 100 && sockets() !== before - 4; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sockets(), before - 4, 'no socket stays open behind a closed object');
});

test('what arrived before the relay began is passed on first', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  client.write('early ');
  a.resume();
  await once(a, 'readable');
  client.end('late');
  for (let turn = 0; turn < 20_000 && a.readableLength < 'early late'.length; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const done = relay(a, b);
  assert.equal((await readAll(server)).toString(), 'early late');
  server.end();
  await readAll(client);
  await done;
});

test('what was read before the relay began is passed on first, and counts, also from a side that has ended', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  client.end();
  await once(a.resume(), 'end');
  const seen: [string, number][] = [];
  const early = { a: Buffer.from('early'), b: Buffer.from('hello ') };
  const done = relay(a, b, { early, onBytes: (from, bytes) => seen.push([from, bytes]) });
  server.end('world');
  const [toServer, toClient] = await Promise.all([readAll(server), readAll(client)]);
  assert.deepEqual([toServer.toString(), toClient.toString()], ['early', 'hello world']);
  assert.deepEqual(await done, { bytesFromA: 5, bytesFromB: 11, error: null, brokenBy: null });
  assert.deepEqual(seen.slice(0, 2), [
    ['a', 5],
    ['b', 6],
  ]);
});

test('a side that is already gone ends the relay and closes the other', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = await tcpPair(t);
  a.destroy();
  const result = await relay(a, b);
  assert.deepEqual(result, { bytesFromA: 0, bytesFromB: 0, error: null, brokenBy: 'a' });
  await readAll(server);
  client.on('error', () => {});
  assert.ok(b.destroyed);
});

test('any Duplex can be a side', async (t) => {
  const [client, a] = await tcpPair(t);
  const [b, server] = duplexPair();
  const done = relay(a, b);
  feed(client, BULK);
  feed(server, BULK.subarray(1));
  const [up, down] = await Promise.all([readAll(server), readAll(client)]);
  assert.deepEqual([digest(up), digest(down)], [digest(BULK), digest(BULK.subarray(1))]);
  assert.equal((await done).error, null);
});

test('many relays share one read buffer without mixing their bytes', async (t) => {
  const pairs = await Promise.all(
    Array.from({ length: 30 }, async () => [...(await tcpPair(t)), ...(await tcpPair(t))] as const),
  );
  await Promise.all(
    pairs.map(async ([client, a, b, server], at) => {
      const done = relay(a, b);
      const bytes = BULK.subarray(at * 1_000, at * 1_000 + 400_000);
      feed(client, bytes);
      server.pipe(server);
      assert.equal(digest(await readAll(client)), digest(bytes));
      assert.deepEqual(await done, { bytesFromA: bytes.length, bytesFromB: bytes.length, error: null, brokenBy: null });
    }),
  );
});
