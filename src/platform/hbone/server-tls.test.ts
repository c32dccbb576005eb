import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import type tls from 'node:tls';
import type { Credentials } from '#model/identity/identity.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import {
  CART,
  connectTls,
  createTestIdentities,
  echo,
  opened,
  REQUEST,
  readAll,
  recordingLog,
  serverOf,
  startTestClient,
  until,
  WEB,
} from './peers.testing.ts';
import { createTestCa } from './test-ca.testing.ts';

const { ca, web, cart } = await createTestIdentities();
let directory: string;

before(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-hbone-'));
  writeFileSync(join(directory, 'web.key'), web.privateKeyPem, { mode: 0o600 });
  writeFileSync(join(directory, 'web.pem'), web.chainPem);
  writeFileSync(join(directory, 'root.pem'), ca.rootPem);
});
after(() => rmSync(directory, { recursive: true }));

const serve = serverOf(cart);

/** Runs `openssl s_client` against a port until it ends by itself or has said that it is connected. */
function sClient(port: number, ...options: string[]): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn('openssl', [
      's_client',
      '-connect',
      `127.0.0.1:${port}`,
      '-CAfile',
      join(directory, 'root.pem'),
      ...options,
    ]);
    let output = '';
    const note = (chunk: Buffer) => {
      output += chunk.toString();
      if (/Verify return code/.test(output)) child.stdin.end('Q\n');
    };
    child.stdout.on('data', note);
    child.stderr.on('data', note);
    // It may be gone before it is told to quit.
    child.stdin.on('error', () => {});
    child.on('close', () => resolve(output));
  });
}
const clientCertificate = () => ['-cert', join(directory, 'web.pem'), '-key', join(directory, 'web.key')];

test('a connection that never comes to carry tunnels is told with its cause, once', async (t) => {
  const causes: string[] = [];
  const { port } = await serve(t, echo, { onRefused: (cause) => void causes.push(cause) });
  const stranger = net.connect(port, '127.0.0.1', () => stranger.end('GET / HTTP/1.1\r\n\r\n'));
  stranger.on('error', () => {});
  await until(() => causes.length > 0, 'a refusal');
  assert.deepEqual(causes, ['handshake-failed']);
});

test('a probe that looks whether somebody listens, and goes, warns nobody and is no refusal', async (t) => {
  const { log, lines } = recordingLog();
  const causes: string[] = [];
  const told = Promise.withResolvers<string>();
  const listening = { ...log, debug: (_fields: object, message: string) => told.resolve(message) };
  const { port } = await serve(t, echo, { log: listening, onRefused: (cause) => void causes.push(cause) });
  const probe = net.connect(port, '127.0.0.1', () => probe.resetAndDestroy());
  probe.on('error', () => {});
  assert.match(await told.promise, /the peer closed the connection/);
  assert.deepEqual([causes, lines], [[], []]);
});

test('B1: TLS 1.2 is refused, TLS 1.3 with AES-GCM and ALPN h2 is served', async (t) => {
  const { port } = await serve(t);
  assert.match(await sClient(port, '-tls1_2', '-alpn', 'h2', ...clientCertificate()), /alert protocol version/);
  const good = await sClient(port, '-tls1_3', '-alpn', 'h2', ...clientCertificate());
  assert.match(good, /TLSv1\.3, Cipher is TLS_AES_256_GCM_SHA384/);
  assert.match(good, /ALPN protocol: h2/);
  assert.match(
    await sClient(port, '-tls1_3', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256', '-alpn', 'h2', ...clientCertificate()),
    /handshake failure/,
  );
  assert.match(await sClient(port, '-tls1_3', '-alpn', 'http/1.1', ...clientCertificate()), /no application protocol/);
});

test('B2: a client without a certificate is rejected', async (t) => {
  const { log, lines } = recordingLog();
  const { port, server } = await serve(t, echo, { log });
  const output = await sClient(port, '-tls1_3', '-alpn', 'h2', '-ign_eof');
  assert.match(output, /alert certificate required|certificate required/);
  assert.equal(server.sessions().length, 0);
  assert.match(lines.join('\n'), /HBONE connection failed/);
});

/** Connects with node:tls; what ended the connection, or 'secure' when it stayed for the server's first bytes. */
async function connectWith(
  t: TestContext,
  port: number,
  credentials: Credentials,
  options: tls.ConnectionOptions = {},
): Promise<string> {
  const socket = connectTls(t, port, credentials, options);
  return new Promise((resolve) => {
    socket.on('error', () => resolve('closed'));
    socket.on('close', () => resolve('closed'));
    socket.on('data', () => {
      resolve('secure');
      socket.destroy();
    });
  });
}

test('B3: a client of another trust domain under the same root is rejected, and the log names ours', async (t) => {
  const { log, lines } = recordingLog();
  const { port } = await serve(t, echo, { log });
  const foreign = await ca.issue('spiffe://other.local/ns/shop/sa/web');
  assert.equal(await connectWith(t, port, foreign), 'closed');
  assert.match(lines.join('\n'), /other\.local.*expected one of trust domain td\.local/);
  assert.equal(await connectWith(t, port, web), 'secure');
});

test('a client of another root, an expired one and one with NUL in its name are rejected with the reason logged', async (t) => {
  const { log, lines } = recordingLog();
  const { port } = await serve(t, echo, { log });
  const otherRoot = await (await createTestCa()).issue(WEB);
  assert.equal(await connectWith(t, port, { ...otherRoot, rootsPem: [ca.rootPem] }), 'closed');
  assert.equal(
    await connectWith(t, port, await ca.issue(WEB, { notBefore: new Date(0), notAfter: new Date(1_000_000) })),
    'closed',
  );
  assert.equal(await connectWith(t, port, await ca.issue(WEB, { names: [{ type: 'url', value: `${WEB}\0.evil` }] })), 'closed');
  assert.equal(await connectWith(t, port, await ca.issue(WEB, { names: [{ type: 'dns', value: 'web.shop' }] })), 'closed');
  await until(() => lines.length === 4, 'four log lines');
  assert.match(lines[0] ?? '', /not valid: CERT_SIGNATURE_FAILURE/);
  assert.match(lines[1] ?? '', /not valid: CERT_HAS_EXPIRED/);
  assert.match(lines[2] ?? '', /no workload identity/);
  assert.match(lines[3] ?? '', /no workload identity/);
});

test('an intermediate authority is accepted on both sides', async (t) => {
  const below = await ca.intermediate();
  const [client, server] = await Promise.all([below.issue(WEB), below.issue(CART)]);
  const { port } = await serve(t, echo, { credentials: async () => server });
  const { pool, target } = startTestClient(t, { source: client, peer: server });
  const stream = opened(await pool.open(target(port), REQUEST));
  stream.end('hello');
  assert.equal((await readAll(stream)).toString(), 'hello');
});

test('sessions are never resumed, so every connection shows its certificate', async (t) => {
  const { port } = await serve(t);
  let session: Buffer | undefined;
  const connect = (options: tls.ConnectionOptions) =>
    new Promise<tls.TLSSocket>((resolve) => {
      const socket = connectTls(t, port, web, options);
      socket.on('session', (ticket) => {
        session ??= ticket;
      });
      socket.on('data', () => resolve(socket));
    });
  (await connect({})).destroy();
  const again = await connect(session === undefined ? {} : { session });
  assert.equal(again.isSessionReused(), false);
  again.destroy();
});

test('renewed credentials are shown to new connections without a restart', async (t) => {
  let current = cart;
  const { port } = await serve(t, echo, { credentials: async () => current });
  const serialOf = () =>
    new Promise<string>((resolve) => {
      const socket = connectTls(t, port, web);
      socket.on('secureConnect', () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
    });
  const before = await serialOf();
  assert.equal(await serialOf(), before);
  current = await ca.issue(CART);
  assert.notEqual(await serialOf(), before);
});

test('a client that does not finish the handshake, or never begins HTTP/2, is dropped after 10 s', async (t) => {
  const clock = new SteppedClock();
  const { port, server, accepted } = await serve(t, echo, { clock });
  const silent = net.connect(port, '127.0.0.1');
  silent.on('error', () => {});
  await until(() => accepted.length === 1, 'the connection');
  await new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  await until(() => silent.destroyed || accepted[0]?.destroyed === true, 'the first drop');
  const mute = connectTls(t, port, web);
  mute.resume();
  await until(() => server.sessions().length === 1, 'the session');
  clock.advance(10_000);
  await until(() => server.sessions().length === 0, 'the second drop');
});
