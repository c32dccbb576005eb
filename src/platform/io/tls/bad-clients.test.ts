import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, test } from 'node:test';
import { IO } from '#model/settings/io.ts';
import { OpensslAuthority } from './authority.testing.ts';
import { badClients, shows } from './bad-clients.testing.ts';
import { DEADLINE_MS, held, inWords, openssl, Rig, sendRaw } from './rig.testing.ts';

// Clients as nobody should be, made with the openssl command or out of bytes of it. Each is refused, by name, and leaves nothing.

const authority = new OpensslAuthority();
after(() => authority.remove());
const bad = badClients(authority);

const rig = new Rig();
const context = rig.context('server', bad.web, bad.root);
const port = rig.serve(() => context);
after(() => rig.close());

/** What our server made of an openssl client. */
async function client(...args: string[]): Promise<{ said: string; heard: string }> {
  const run = openssl('s_client', '-connect', `127.0.0.1:${port}`, ...(args.includes('-alpn') ? [] : ['-alpn', 'h2']), ...args);
  const said = inWords(await rig.next());
  run.stop();
  return { said, heard: await run.over };
}

/** The hello of an openssl client. */
async function recordHello(): Promise<Buffer> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const run = openssl('s_client', '-connect', `127.0.0.1:${address.port}`, '-tls1_3', '-alpn', 'h2', '-groups', 'X25519');
  const [socket]: net.Socket[] = await once(server, 'connection');
  assert.ok(socket);
  const [hello]: Buffer[] = await once(socket, 'data');
  assert.ok(hello);
  socket.destroy();
  server.close();
  run.stop();
  await run.over;
  return hello;
}
const hello = await recordHello();

const REFUSED = 'refused by us: ';

for (const [name, expected, args] of bad.certificates) {
  test(`a client certificate ${name} is refused`, async () => {
    const { said, heard } = await client('-tls1_3', ...args());
    assert.ok(said.startsWith(`${REFUSED}certificate verify failed: `), said);
    assert.match(said, expected);
    assert.match(heard, /alert/);
  });
}

for (const [name, expected, args] of bad.hellos) {
  test(`a client ${name} is refused`, async () => {
    const { said, heard } = await client(...(args().some((arg) => arg.startsWith('-tls')) ? [] : ['-tls1_3']), ...args());
    assert.ok(said.startsWith(REFUSED), said);
    assert.match(said.slice(REFUSED.length), expected);
    assert.match(heard, /alert/);
  });
}

test('a client that offers no ALPN is refused', async () => {
  const run = openssl('s_client', '-connect', `127.0.0.1:${port}`, '-tls1_3', ...shows(bad.web));
  assert.equal(inWords(await rig.next()), 'refused by us: the peer did not choose h2 (ALPN)');
  run.stop();
  await run.over;
});

/** A record of TLS. */
function record(type: number, body: Buffer, length = body.length): Buffer {
  return Buffer.concat([Buffer.from([type, 3, 1, length >> 8, length & 0xff]), body]);
}

/** The hello with other extensions: what `change` makes of theirs. */
function helloWith(change: (extensions: Buffer) => Buffer): Buffer {
  const message = hello.subarray(5);
  const sessionAt = 4 + 2 + 32;
  const suitesAt = sessionAt + 1 + (message[sessionAt] ?? 0);
  const compressionAt = suitesAt + 2 + message.readUInt16BE(suitesAt);
  const extensionsAt = compressionAt + 1 + (message[compressionAt] ?? 0);
  const extensions = change(message.subarray(extensionsAt + 2));
  const length = Buffer.alloc(2);
  length.writeUInt16BE(extensions.length);
  const body = Buffer.concat([message.subarray(4, extensionsAt), length, extensions]);
  return record(22, Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 0xff]), body]));
}

function extension(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type);
  head.writeUInt16BE(body.length, 2);
  return Buffer.concat([head, body]);
}

const SSL2_HELLO = Buffer.from(
  '802e0100020015000000100100800300800700c00600400200800400800000040000fe00000a00000900006400006200',
  'hex',
);
const TWICE = extension(43, Buffer.from([2, 3, 4]));
type RawCase = readonly [name: string, expected: RegExp, pieces: () => Buffer[], then: 'end' | 'reset' | 'stay'];

const RAW: readonly RawCase[] = [
  ['that speaks HTTP', /^refused by us: http request$/, () => [Buffer.from('GET / HTTP/1.1\r\n\r\n')], 'stay'],
  [
    'that speaks HTTP/2 without TLS',
    /^refused by us: (wrong version number|.*)$/,
    () => [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')],
    'stay',
  ],
  [
    'that sends garbage',
    /^refused by us: (wrong version number|packet length too long|.*record.*)$/,
    () => [Buffer.alloc(600, 0xa7)],
    'stay',
  ],
  ['that sends zeros', /^refused by us: (wrong version number|.*)$/, () => [Buffer.alloc(600)], 'stay'],
  ['of SSL 2', /^refused by us: (unsupported protocol|unknown protocol|.*)$/, () => [SSL2_HELLO], 'stay'],
  [
    'with a record that is too long',
    /^refused by us: (packet length too long|encrypted length too long|data length too long)$/,
    () => [record(22, hello.subarray(5), 0xffff)],
    'stay',
  ],
  [
    'with data before its hello',
    /^refused by us: unexpected message|^refused by us: app data in handshake/,
    () => [record(23, Buffer.from('hello'))],
    'stay',
  ],
  [
    'with empty records for ever',
    /^refused by us: /,
    () => Array.from({ length: 64 }, () => record(22, Buffer.alloc(0))),
    'stay',
  ],
  [
    'with an extension twice',
    /^refused by us: (bad extension|duplicate.*)$/,
    () => [helloWith((all) => Buffer.concat([all, TWICE]))],
    'stay',
  ],
  ['whose extensions are cut short', /^refused by us: /, () => [helloWith((all) => all.subarray(0, all.length - 3))], 'stay'],
  [
    'whose extensions name another length',
    /^refused by us: (length mismatch|bad extension.*)$/,
    () => [helloWith((all) => Buffer.concat([all, Buffer.from([0, 99, 0xff, 0xff])]))],
    'stay',
  ],
  ['without extensions', /^refused by us: unsupported protocol$/, () => [helloWith(() => Buffer.alloc(0))], 'stay'],
  ['with two hellos', /^refused by us: /, () => [hello, hello], 'stay'],
  ['that begins with an alert', /^refused by us: unexpected message$/, () => [record(21, Buffer.from([2, 40]))], 'stay'],
  [
    'that answers with an alert',
    /^refused by peer: .*alert handshake failure$/,
    () => [hello, Buffer.from([21, 3, 3, 0, 2, 2, 40])],
    'stay',
  ],
  ['that begins with HelloRequest', /^refused by us: unexpected message$/, () => [record(22, Buffer.from([0, 0, 0, 0]))], 'stay'],
  ['that ends after half a hello', /^gone: EOF$/, () => [hello.subarray(0, 100)], 'end'],
  ['that ends after its hello', /^gone: EOF$/, () => [hello], 'end'],
  ['that ends at once', /^gone: EOF$/, () => [], 'end'],
  ['that resets after half a hello', /^gone: (ECONNRESET)$/, () => [hello.subarray(0, 100)], 'reset'],
];

for (const [name, expected, pieces, then] of RAW) {
  test(`a peer ${name} is refused`, async () => {
    const over = sendRaw(port, pieces(), then);
    const said = inWords(await rig.next());
    assert.match(said, expected);
    await over;
  });
}

for (const [name, piece] of [
  ['says nothing', Buffer.alloc(0)],
  ['stops within its hello', hello.subarray(0, 100)],
  ['stops after its hello', hello],
] as const) {
  test(`a peer that ${name} has until the deadline`, async () => {
    const before = rig.streams.length;
    const over = sendRaw(port, [piece], 'stay');
    while (rig.streams.length === before) await new Promise((resolve) => setImmediate(resolve));
    rig.clock.advance(DEADLINE_MS - 1);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(rig.streams.at(-1)?.isOver, false);
    rig.clock.advance(1);
    assert.equal(inWords(await rig.next()), 'deadline');
    await over;
  });
}

/** So long as they are not written, the peer's last bytes come when it has been refused already. */
const LATE = Array.from({ length: 40 }, () => Buffer.alloc(4_096, 0x61));

test('a peer that has more to say when it is refused hears the alert, and an end', async () => {
  const over = sendRaw(port, [record(22, Buffer.from([0, 0, 0, 0])), ...LATE], 'stay');
  assert.match(inWords(await rig.next()), /^refused by us: unexpected message$/);
  assert.deepEqual([...(await over)].slice(-2), [2, 10], 'fatal: unexpected_message');
});

test('one that goes on and on is waited for within bounds', async () => {
  const endless = net.connect({ port, host: '127.0.0.1' });
  const broken = once(endless, 'error');
  const write = (): void => void (endless.destroyed || endless.write(Buffer.alloc(65_536, 0x61), write));
  write();
  assert.match(inWords(await rig.next()), /^refused by us: /);
  await broken; // what is more than is dropped for it is answered by a reset
  const silent = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  silent.write(record(22, Buffer.from([0, 0, 0, 0])));
  silent.resume();
  assert.match(inWords(await rig.next()), /^refused by us: /);
  const before = held().descriptors;
  rig.clock.advance(IO.lingerMs);
  assert.equal(held().descriptors, before - 1, 'one that does not end is closed');
  silent.destroy();
});

test('no kind of them is left out by mistake', (t) => {
  const counts = { certificates: bad.certificates.length, hellos: bad.hellos.length, raw: RAW.length };
  t.diagnostic(`bad clients: ${JSON.stringify(counts)}`);
  assert.deepEqual(counts, { certificates: 18, hellos: 10, raw: 20 });
});

test('none of them leaves a descriptor or anything of OpenSSL behind', async () => {
  rig.clock.advance(IO.lingerMs);
  const before = held();
  assert.equal(before.ssl, 0);
  for (const then of ['end', 'reset'] as const) {
    const over = sendRaw(port, [hello.subarray(0, 100)], then);
    await rig.next();
    await over;
  }
  await client('-tls1_3');
  rig.clock.advance(IO.lingerMs); // it may not have ended yet
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(held(), before);
  assert.ok(rig.streams.every((stream) => stream.isOver));
  context.close();
});
