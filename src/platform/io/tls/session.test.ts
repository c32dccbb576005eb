import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { ByteStream, StreamOver } from '#model/effects/byte-stream.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { IO } from '#model/settings/io.ts';
import { liveSslCount } from '#platform/ffi/ssl.ts';
import { liveSslContextCount } from '#platform/ffi/ssl-context.ts';
import { verifiedPeer } from '#platform/hbone/tls-contexts.ts';
import type { SecureStream } from '#platform/io/io.ts';
import { verifyServer } from '#protocol/identity/spiffe.ts';
import { type Certified, OpensslAuthority, rootOf, workloadExtensions } from './authority.testing.ts';
import { CoreTlsContext } from './handshake.ts';
import { DEADLINE_MS, drain, held, inWords, openssl, Rig, secureStream } from './rig.testing.ts';

// Established connections: with the openssl command, with nghttp2, and among ourselves.

const WEB = 'spiffe://td.local/ns/shop/sa/web';
const CART = 'spiffe://td.local/ns/shop/sa/cart';
const authority = new OpensslAuthority();
after(() => authority.remove());
const root = rootOf(authority);
const issue = (uri: string, issuer = root): Certified => authority.issue({ issuer, extensions: workloadExtensions(uri) });
const web = issue(WEB);
const cart = issue(CART);

const rig = new Rig();
const server = rig.context('server', cart, root);
const client = rig.context('client', web, root);
const port = rig.serve(() => server);
after(() => rig.close());

const shows = ({ certificateFile, keyFile }: Certified): string[] => ['-cert', certificateFile, '-key', keyFile];
const CLIENT = [
  's_client',
  '-connect',
  `127.0.0.1:${port}`,
  '-alpn',
  'h2',
  '-tls1_3',
  '-CAfile',
  root.certificateFile,
  ...shows(web),
];

/** Both ends of a connection among ourselves. */
async function pair(through = port): Promise<readonly [SecureStream, SecureStream]> {
  const [near, far] = await Promise.all([rig.connect(through, client), rig.next()]);
  return [secureStream(near), secureStream(far)];
}

/** Sends back what comes, as fast as it is taken. */
function echo(stream: ByteStream): void {
  stream.read({
    bytes(buffer, start, end) {
      if (!stream.write(buffer, start, end)) stream.pause();
      return end - start;
    },
    end: () => stream.end(),
    writable: () => stream.resume(),
    over() {},
  });
}

/** Writes all of it, minding the room, then ends. */
function feed(stream: ByteStream, bytes: Buffer, then: (bytes: Buffer) => void): void {
  let at = 0;
  const chunks: Buffer[] = [];
  const go = (): void => {
    for (let size = 1; at < bytes.length; size = 1 + ((size * 7) % 70_001)) {
      const end = Math.min(bytes.length, at + size);
      const hasRoom = stream.write(bytes, at, end);
      at = end;
      if (!hasRoom) return;
    }
    stream.end();
  };
  stream.read({
    bytes(buffer, start, end) {
      chunks.push(Buffer.from(buffer.subarray(start, end)));
      return end - start;
    },
    end() {},
    writable: go,
    over: () => then(Buffer.concat(chunks)),
  });
  go();
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Passes bytes on between a client and our server; what the server said, and the sockets on either side. */
async function middle(t: TestContext): Promise<{ port: number; said: Buffer[]; cut(how: 'end' | 'reset'): void }> {
  const said: Buffer[] = [];
  const sockets: net.Socket[] = [];
  const relay = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1');
    sockets.push(near, far);
    near.on('data', (chunk: Buffer) => far.write(chunk));
    far.on('data', (chunk: Buffer) => {
      said.push(chunk);
      near.write(chunk);
    });
    for (const socket of [near, far]) socket.on('error', () => {});
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    relay.close();
  });
  const address = relay.address();
  assert.ok(typeof address === 'object' && address !== null);
  const cut = (how: 'end' | 'reset'): void => {
    for (const socket of sockets) {
      if (how === 'end') socket.end();
      else socket.resetAndDestroy();
    }
  };
  return { port: address.port, said, cut };
}

/** The group of the key share in a ServerHello (RFC 8446 4.1.3, 4.2.8). */
function keyShareGroup(hello: Buffer): number {
  let at = 5 + 4 + 2 + 32;
  at += 1 + hello.readUInt8(at) + 2 + 1;
  const end = at + 2 + hello.readUInt16BE(at);
  for (at += 2; at < end; at += 4 + hello.readUInt16BE(at + 2))
    if (hello.readUInt16BE(at) === 51) return hello.readUInt16BE(at + 4);
  return -1;
}

test('two of us agree on X25519MLKEM768, which is seen on the wire', async (t) => {
  const between = await middle(t);
  const [near, far] = await pair(between.port);
  assert.equal(keyShareGroup(Buffer.concat(between.said)), 0x11ec);
  assert.deepEqual([near.group, far.group], ['X25519MLKEM768', 'X25519MLKEM768']);
  near.reset();
  far.reset();
});

test("each sees the other's certificates up to the root, its own first, which our model judges", async () => {
  const [near, far] = await pair();
  for (const [stream, uri] of [
    [near, CART],
    [far, WEB],
  ] as const) {
    const [leaf, above] = stream.peerChain.map((der) => new X509Certificate(der));
    assert.equal(leaf?.subjectAltName, `URI:${uri}`);
    assert.equal(above?.raw.equals(new X509Certificate(root.pem).raw), true);
    assert.equal(stream.peerChain.length, 2);
  }
  assert.equal(verifiedPeer(near, (names) => verifyServer(names, [parseIdentity(CART)])).kind, 'accepted');
  assert.equal(verifiedPeer(near, (names) => verifyServer(names, [parseIdentity(WEB)])).kind, 'rejected');
  near.reset();
  far.reset();
});

test('8 MiB of writes of every size come back as they were', async () => {
  const [near, far] = await pair();
  echo(far);
  const bytes = randomBytes(8 << 20);
  const back = await new Promise<Buffer>((resolve) => feed(near, bytes, resolve));
  assert.equal(digest(back), digest(bytes));
});

test('openssl s_client agrees on TLS 1.3 and h2, shows our chain, and gets its bytes back', async () => {
  const run = openssl(...CLIENT);
  const stream = secureStream(await rig.next());
  echo(stream);
  await run.until(/Verify return code: 0 \(ok\)/);
  assert.match(run.output(), /New, TLSv1\.3, Cipher is TLS_AES_256_GCM_SHA384/);
  assert.match(run.output(), /ALPN protocol: h2/);
  assert.doesNotMatch(run.output(), /Session Ticket/);
  run.say('one line\n');
  await run.until(/^one line/m);
  run.stop();
  await run.over;
});

test('keys are renewed in the middle: asked for by openssl as client and as server, and the bytes go on', async (t) => {
  const run = openssl(...CLIENT);
  echo(secureStream(await rig.next()));
  await run.until(/Verify return code/);
  for (const [at, command] of ['K', 'k', 'K'].entries()) {
    run.say(`${command}\n`);
    await run.until(new RegExp(`(KEYUPDATE[^]*){${at + 1}}`)); // what stands behind a command in one piece is dropped
    run.say(`after ${command}\n`);
    await run.until(new RegExp(`^after ${command}`, 'm'));
  }
  run.stop();
  await run.over;

  const other = openssl('s_server', '-accept', '127.0.0.1:0', '-alpn', 'h2', ...shows(cart));
  t.after(() => other.kill());
  await other.until(/ACCEPT 127\.0\.0\.1:\d+/);
  const stream = secureStream(await rig.connect(Number(/ACCEPT 127\.0\.0\.1:(\d+)/.exec(other.output())?.[1]), client));
  let told = (): void => {};
  const received = new Promise<void>((resolve) => (told = resolve));
  const read = drain(stream, true, told);
  await other.until(/CIPHER is/);
  other.say('K\n'); // what stands behind a command in one piece is dropped
  for (let at = 0; !/SSL_do_handshake -> 1/.test(other.output()); at++) {
    const line = Buffer.from(`line ${at}.\n`);
    stream.write(line, 0, line.length);
    await other.until(new RegExp(`line ${at}\\.`)); // what it says of its own waits for what it repeats of ours
  }
  other.say('after K\n');
  await received;
  other.say('Q\n');
  assert.equal((await read).bytes.toString(), 'after K\n');
});

test('a peer that renews its keys for ever is ended, by name; one that does so now and then goes on', async () => {
  const fond = openssl(...CLIENT);
  const stream = secureStream(await rig.next());
  let how: StreamOver | null = null;
  stream.read({
    bytes(buffer, start, end) {
      stream.write(buffer, start, end);
      return end - start;
    },
    end: () => stream.end(),
    writable() {},
    over: (told) => (how = told),
  });
  await fond.until(/Verify return code/);
  const ended = new Promise<void>((resolve) => stream.onOver(resolve));
  let asked = 0;
  fond.say('after 0.\n');
  await fond.until(/^after 0\./m);
  const renew = async (times: number): Promise<void> => {
    for (const last = asked + times; asked < last && !stream.isOver; ) {
      fond.say('K\n');
      await Promise.race([fond.until(new RegExp(`after ${asked++}\\.[^]*KEYUPDATE`)), ended]);
      fond.say(`after ${asked}.\n`);
      await Promise.race([fond.until(new RegExp(`^after ${asked}\\.`, 'm')), ended]);
    }
  };
  for (let minute = 0; minute < 3; minute++) {
    await renew(IO.keyUpdatesMax);
    assert.equal(how, null);
    rig.clock.advance(IO.keyUpdatesMs);
  }
  await renew(8 * IO.keyUpdatesMax + 1);
  await ended;
  assert.ok(how !== null);
  assert.equal(stateOf(how), 'failed: too many key updates');
  fond.stop();
  await fond.over;
});

const stateOf = (how: StreamOver): string => (how.kind === 'finished' ? how.kind : `${how.kind}: ${how.code}`);

test('the end of openssl is an end, and ours is one to it', async () => {
  const theirs = openssl(...CLIENT);
  const read = drain(secureStream(await rig.next()));
  await theirs.until(/Verify return code/);
  theirs.say('Q\n');
  assert.deepEqual(await read, { bytes: Buffer.alloc(0), ended: true, how: { kind: 'finished' } });

  const run = openssl(...CLIENT);
  const stream = secureStream(await rig.next());
  await run.until(/Verify return code/);
  stream.end();
  assert.match(await run.over, /closed/);
  assert.equal((await drain(stream)).how.kind, 'finished');
});

test('after an end the other direction goes on', async () => {
  const [near, far] = await pair();
  const last = Buffer.from('still here');
  const atFar = drain(far, false);
  const atNear = drain(near);
  near.end();
  far.onOver(() => {});
  await new Promise((resolve) => setImmediate(resolve));
  far.write(last, 0, last.length);
  far.end();
  assert.equal((await atNear).bytes.toString(), 'still here');
  assert.equal((await atFar).how.kind, 'finished');
});

for (const [how, code] of [
  ['end', 'TLS_TRUNCATED'],
  ['reset', 'ECONNRESET'],
] as const) {
  test(`a connection that somebody in between ${how === 'end' ? 'ends' : 'resets'} was reset, and has not ended`, async (t) => {
    const between = await middle(t);
    const [near, far] = await pair(between.port);
    const reads = Promise.all([drain(near), drain(far)]);
    between.cut(how);
    for (const read of await reads)
      assert.deepEqual(read, { bytes: Buffer.alloc(0), ended: false, how: { kind: 'reset', code } });
  });
}

test('new certificates are shown to new connections, and the former ones go on until they are over', async (t) => {
  const contexts = liveSslContextCount();
  let current = rig.context('server', cart, root);
  const own = new Rig();
  t.after(() => own.close());
  const place = own.serve(() => current);
  const connect = async (): Promise<readonly [SecureStream, SecureStream]> => {
    const [near, far] = await Promise.all([own.connect(place, client), own.next()]);
    return [secureStream(near), secureStream(far)];
  };
  const [oldNear, oldFar] = await connect();
  echo(oldFar);
  const former = current;
  current = rig.context('server', issue(CART), root);
  former.close();
  former.close();
  assert.equal(liveSslContextCount(), contexts + 2, 'the former is still in use');
  const [near, far] = await connect();
  assert.notDeepEqual(near.peerChain[0], oldNear.peerChain[0]);
  const bytes = randomBytes(100_000);
  assert.equal(digest(await new Promise<Buffer>((resolve) => feed(oldNear, bytes, resolve))), digest(bytes));
  assert.equal(liveSslContextCount(), contexts + 1);
  near.reset();
  far.reset();
  current.close();
  assert.equal(liveSslContextCount(), contexts);
  const fresh = await rig.dial(port);
  await assert.rejects(own.io.secure(fresh, former, null), { code: 'WEFT_TLS', message: /after it was closed/ });
  fresh.reset();
  assert.equal((await rig.next()).kind, 'gone');
});

test('what cannot be used is refused when the context is made, in the words of OpenSSL', () => {
  const contexts = liveSslContextCount();
  const make = (changed: object) => () =>
    new CoreTlsContext({ role: 'server', chain: web.chain, key: web.key, roots: root.pem, alpn: 'h2', ...changed });
  assert.throws(make({ key: cart.key }), { code: 'WEFT_TLS', message: /key values mismatch/ });
  assert.throws(make({ key: '' }), { code: 'WEFT_TLS', message: /cannot read the private key/ });
  const encrypted = execFileSync('openssl', ['pkcs8', '-topk8', '-in', web.keyFile, '-passout', 'pass:secret'], {
    encoding: 'latin1',
  });
  assert.throws(make({ key: encrypted }), { code: 'WEFT_TLS', message: /cannot read the private key/ });
  assert.throws(make({ chain: '' }), { code: 'WEFT_TLS', message: /cannot read a certificate/ });
  assert.throws(make({ chain: web.chain.replace('MII', 'AAA') }), { code: 'WEFT_TLS' });
  assert.throws(make({ roots: 'nonsense' }), { code: 'WEFT_TLS', message: /cannot read a root certificate/ });
  const weak = authority.issue({ issuer: root, extensions: workloadExtensions(WEB), key: ['-newkey', 'rsa:1024'] });
  assert.throws(make({ chain: weak.chain, key: weak.key }), { code: 'WEFT_TLS', message: /ee key too small/ });
  assert.equal(liveSslContextCount(), contexts);
});

test('secrets are written nowhere, whatever the environment asks for', async () => {
  const file = join(authority.directory, 'secrets');
  process.env.SSLKEYLOGFILE = file;
  const own = new Rig();
  const context = own.context('server', cart, root);
  const place = own.serve(() => context);
  const [near] = await Promise.all([own.connect(place, client), own.next().then((secured) => secureStream(secured).reset())]);
  delete process.env.SSLKEYLOGFILE;
  if (near.kind === 'open') near.stream.reset();
  own.close();
  context.close();
  assert.equal(existsSync(file), false);
});

test('a handshake that its caller gives up is gone, and one with a silent server ends at the deadline', async (t) => {
  const silent = net.createServer((socket) => socket.on('error', () => {})).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.after(() => silent.close());
  const address = silent.address();
  assert.ok(typeof address === 'object' && address !== null);
  const given = await rig.dial(address.port);
  const shaking = rig.io.secure(given, client, null);
  given.reset();
  assert.equal(inWords(await shaking), 'gone: ECONNABORTED');
  const waiting = rig.io.secure(await rig.dial(address.port), client, DEADLINE_MS);
  rig.clock.advance(DEADLINE_MS);
  assert.equal(inWords(await waiting), 'deadline');
});

test('500 connections that end in every way leave no descriptor and nothing of OpenSSL', async () => {
  const before = held();
  for (let at = 0; at < 100; at++) {
    const five = [await pair(), await pair(), await pair(), await pair(), await pair()];
    const overs = five.flatMap((both) => both.map((stream) => new Promise<void>((resolve) => stream.onOver(resolve))));
    five.forEach(([near, far], index) => {
      if (index !== 4) echo(far);
      if (index === 0) near.reset();
      else if (index === 1) {
        void drain(near);
        far.reset();
      } else if (index === 2) feed(near, randomBytes(20_000), () => {});
      else if (index === 3) void drain(near);
      if (index === 3) near.end();
      if (index === 4) {
        near.reset();
        far.reset();
      }
    });
    await Promise.all(overs);
  }
  assert.equal(held().ssl, before.ssl);
  assert.ok(held().descriptors <= before.descriptors);
});

test('after all of it nothing of OpenSSL is left', () => {
  server.close();
  client.close();
  assert.deepEqual({ connections: liveSslCount(), contexts: liveSslContextCount() }, { connections: 0, contexts: 0 });
});
