import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { after, type TestContext, test } from 'node:test';
import { IO } from '#model/settings/io.ts';
import { type Certified, OpensslAuthority, rootOf, workloadExtensions } from './authority.testing.ts';
import { drain, held, inWords, type OpensslRun, openssl, Rig, secureStream } from './rig.testing.ts';

// Servers as nobody should be, made with the openssl command, or by changing what one says on its way to our client.

const WEB = 'spiffe://td.local/ns/shop/sa/web';
const authority = new OpensslAuthority();
const root = rootOf(authority);
const otherRoot = rootOf(authority);
const workload = (options: Partial<Parameters<OpensslAuthority['issue']>[0]> = {}): Certified =>
  authority.issue({ issuer: root, extensions: workloadExtensions(WEB), ...options });
const web = workload();
const rig = new Rig();
const context = rig.context('client', web, root);
after(() => authority.remove());

const shows = ({ certificateFile, keyFile }: Certified): string[] => ['-cert', certificateFile, '-key', keyFile];

/** A server of the openssl command; its port. */
async function serve(t: TestContext, ...args: string[]): Promise<number> {
  return (await serving(t, ...args)).port;
}

async function serving(t: TestContext, ...args: string[]): Promise<{ port: number; run: OpensslRun }> {
  const alpn = args.includes('-alpn') ? [] : ['-alpn', 'h2'];
  const run = openssl(
    's_server',
    '-accept',
    '127.0.0.1:0',
    ...(args.at(-1) === NO_ALPN ? args.slice(0, -1) : [...alpn, ...args]),
  );
  t.after(async () => {
    run.kill();
    await run.over;
  });
  await run.until(/ACCEPT 127\.0\.0\.1:\d+/);
  return { run, port: Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(run.output())?.[1]) };
}
const NO_ALPN = 'no ALPN';

type Case = readonly [name: string, expected: RegExp, args: () => string[]];

const SERVERS: readonly Case[] = [
  [
    'expired',
    /^refused by us: certificate verify failed: certificate has expired$/,
    () => shows(workload({ until: '20210101000000Z' })),
  ],
  [
    'not yet valid',
    /^refused by us: certificate verify failed: certificate is not yet valid$/,
    () => shows(workload({ from: '20400101000000Z' })),
  ],
  [
    'of another root',
    /^refused by us: certificate verify failed: unable to get local issuer certificate$/,
    () => shows(workload({ issuer: otherRoot })),
  ],
  [
    'signed by itself',
    /^refused by us: certificate verify failed: self-signed certificate$/,
    () => shows(workload({ issuer: null })),
  ],
  [
    'for clients only',
    /^refused by us: certificate verify failed: unsuitable certificate purpose$/,
    () =>
      shows(workload({ extensions: ['basicConstraints=CA:FALSE', 'extendedKeyUsage=clientAuth', `subjectAltName=URI:${WEB}`] })),
  ],
  [
    'with an unknown critical extension',
    /unhandled critical extension$/,
    () => shows(workload({ extensions: [...workloadExtensions(WEB), '1.2.3.4=critical,ASN1:UTF8:x'] })),
  ],
  [
    'with a weak key',
    /key too (small|weak)$/,
    () => [...shows(workload({ key: ['-newkey', 'rsa:1024'] })), '-cipher', 'DEFAULT@SECLEVEL=0'],
  ],
  ['of TLS 1.2', /^refused by (us|peer): .*(protocol version|unsupported protocol)$/, () => [...shows(web), '-tls1_2']],
  ['without ALPN', /^refused by us: the peer did not choose h2 \(ALPN\)$/, () => [...shows(web), NO_ALPN]],
  [
    'of another ALPN',
    /^refused by (peer: .*no application protocol|us: the peer did not choose h2 \(ALPN\))$/,
    () => [...shows(web), '-alpn', 'http/1.1'],
  ],
  ['without a common key agreement', /^refused by peer: .*alert handshake failure$/, () => [...shows(web), '-groups', 'P-384']],
  [
    'without a common cipher suite',
    /^refused by peer: .*alert handshake failure$/,
    () => [...shows(web), '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'],
  ],
];

for (const [name, expected, args] of SERVERS) {
  test(`a server ${name} is refused`, async (t) => {
    assert.match(inWords(await rig.connect(await serve(t, ...args()), context)), expected);
  });
}

test('a server that refuses our certificate afterwards is told by its alert, not as an end', async (t) => {
  const port = await serve(t, ...shows(web), '-Verify', '1', '-verify_return_error', '-CAfile', otherRoot.certificateFile);
  const { how, ended } = await drain(secureStream(await rig.connect(port, context)));
  assert.equal(ended, false);
  assert.ok(how.kind === 'failed', JSON.stringify(how));
  assert.match(how.code, /alert unknown ca/);
});

/** Between a client and a server: what `change` makes of what the server says. */
async function between(
  t: TestContext,
  server: number,
  change: (bytes: Buffer, nth: number, client: net.Socket) => Buffer,
): Promise<number> {
  const middle = net.createServer((client) => {
    let nth = 0;
    const upstream = net.connect(server, '127.0.0.1');
    client.on('data', (chunk: Buffer) => upstream.write(chunk));
    upstream.on('data', (chunk: Buffer) => client.write(change(chunk, nth++, client)));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  middle.listen(0, '127.0.0.1');
  await once(middle, 'listening');
  t.after(() => middle.close());
  const address = middle.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

/** Flips a bit of the byte at `at`; negative: from the end. */
function flip(bytes: Buffer, at: number): Buffer {
  const place = at < 0 ? bytes.length + at : at;
  bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
  return bytes;
}

const FLIGHTS: readonly (readonly [name: string, expected: RegExp, change: (bytes: Buffer) => Buffer])[] = [
  ['whose hello has another session', /^refused by us: /, (bytes) => flip(bytes, 5 + 4 + 2 + 32 + 1)],
  ['whose hello has another version', /^refused by us: /, (bytes) => flip(bytes, 10)],
  ['whose hello has another cipher suite', /^refused by us: /, (bytes) => flip(bytes, 5 + 4 + 2 + 32 + 1 + 32 + 1)],
  ['that answers with HTTP', /^refused by us: (wrong version number|.*)$/, () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['that answers with garbage', /^refused by us: /, () => Buffer.alloc(400, 0x5a)],
  [
    'that answers with a record that is too long',
    /^refused by us: (packet|encrypted|data) length too long$/,
    () => Buffer.from([22, 3, 3, 0xff, 0xff, 2, 0, 0]),
  ],
  ['that answers with an alert', /^refused by peer: .*alert internal error$/, () => Buffer.from([21, 3, 3, 0, 2, 2, 80])],
  ['that answers with data', /^refused by us: unexpected message$|app data/, () => Buffer.from([23, 3, 3, 0, 4, 1, 2, 3, 4])],
];

for (const [name, expected, change] of FLIGHTS) {
  test(`a server ${name} is refused`, async (t) => {
    const port = await between(t, await serve(t, ...shows(web)), (bytes, nth) => (nth === 0 ? change(bytes) : bytes));
    assert.match(inWords(await rig.connect(port, context)), expected);
  });
}

test('a server whose Finished was changed on the way is refused', async (t) => {
  // The first that it says is that it would like another key share.
  const port = await between(t, await serve(t, ...shows(web)), (bytes, nth) => (nth === 0 ? bytes : flip(bytes, -1)));
  assert.match(inWords(await rig.connect(port, context)), /^refused by us: .*bad record mac/);
});

test('a server that ends or resets in the middle of its flight is gone', async (t) => {
  const server = await serve(t, ...shows(web));
  const ends = await between(t, server, (bytes, _nth, client) => {
    setImmediate(() => client.end());
    return bytes.subarray(0, 100);
  });
  assert.equal(inWords(await rig.connect(ends, context)), 'gone: EOF');
  const resets = await between(t, server, (bytes, _nth, client) => {
    setImmediate(() => client.resetAndDestroy());
    return bytes.subarray(0, 100);
  });
  assert.equal(inWords(await rig.connect(resets, context)), 'gone: ECONNRESET');
});

test('a record that was changed after the handshake fails the stream, by name, and nothing of it is delivered', async (t) => {
  const { run, port: server } = await serving(t, ...shows(web));
  let changing = false;
  const port = await between(t, server, (bytes) => (changing ? flip(bytes, -1) : bytes));
  const stream = secureStream(await rig.connect(port, context));
  const read = drain(stream);
  await run.until(/CIPHER is/);
  await new Promise((resolve) => setTimeout(resolve, 50)); // its tickets are not to be what is changed
  changing = true;
  run.say('hello\n');
  const { bytes, ended, how } = await read;
  assert.deepEqual({ bytes: bytes.length, ended, kind: how.kind }, { bytes: 0, ended: false, kind: 'failed' });
  assert.match(how.kind === 'failed' ? how.code : '', /bad record mac/);
});

test('nobody can ask for another handshake: HelloRequest fails the stream', async (t) => {
  const clients: net.Socket[] = [];
  const port = await between(t, await serve(t, ...shows(web)), (bytes, _nth, client) => {
    clients.push(client);
    return bytes;
  });
  const read = drain(secureStream(await rig.connect(port, context)));
  clients[0]?.write(Buffer.from([22, 3, 3, 0, 4, 0, 0, 0, 0]));
  const { how, ended } = await read;
  assert.equal(ended, false);
  assert.ok(how.kind === 'failed', JSON.stringify(how));
  assert.match(how.code, /unexpected message|bad record type|wrong version|decryption failed/);
});

test('no kind of them is left out by mistake', (t) => {
  const counts = { servers: SERVERS.length, flights: FLIGHTS.length };
  t.diagnostic(`bad servers: ${JSON.stringify(counts)}`);
  assert.deepEqual(counts, { servers: 12, flights: 8 });
});

test('none of them leaves a descriptor or anything of OpenSSL behind', async (t) => {
  assert.equal(held().ssl, 0);
  const port = await serve(t, ...shows(workload({ issuer: otherRoot })));
  rig.clock.advance(IO.lingerMs); // of those before
  const before = held();
  for (let at = 0; at < 5; at++) assert.match(inWords(await rig.connect(port, context)), /^refused by us/);
  rig.clock.advance(IO.lingerMs);
  assert.deepEqual(held(), before);
  context.close();
});
