import 'reflect-metadata';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, webcrypto } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { X509CertificateGenerator } from '@peculiar/x509';
import type { LinkEnd } from '#testbed/nodes/plan.ts';
import { addressCommands, cableCommands, namespaceCommands } from '#testbed/nodes/wiring.ts';
import { command } from '#testbed/processes/command.ts';
import { inNetns } from '#testbed/processes/command-lines.ts';
import { captured } from './capture.ts';
import { reportWire, type WireReport } from './wire-report.ts';

const missing =
  process.getuid?.() !== 0
    ? 'needs root'
    : (await command(['which', 'tcpdump']).catch(() => '')) === ''
      ? 'needs tcpdump'
      : false;

/** An echo server in one namespace and a client in another, `node -e` style: TLS_MODE is plain or a TLS version. */
const SERVER = `
  const { TLS_MODE, PORT, KEY, CERT } = process.env;
  const onSocket = (s) => s.on('error', () => {}).pipe(s);
  const server = TLS_MODE === 'plain'
    ? require('net').createServer(onSocket)
    : require('tls').createServer({ key: KEY, cert: CERT, minVersion: TLS_MODE, maxVersion: TLS_MODE }, onSocket);
  server.listen(Number(PORT), '::', () => console.log('up'));`;
const CLIENT = `
  const { TLS_MODE, PORT, HOST, MARKER } = process.env;
  const text = Buffer.from(MARKER.repeat(4000));
  const options = { host: HOST, port: Number(PORT), rejectUnauthorized: false };
  const socket = TLS_MODE === 'plain' ? require('net').connect(options) : require('tls').connect(options);
  let echoed = 0;
  socket.on(TLS_MODE === 'plain' ? 'connect' : 'secureConnect', () => socket.write(text));
  socket.on('data', (bytes) => { echoed += bytes.length; if (echoed === text.length) process.exit(0); });`;

async function selfSigned(): Promise<{ KEY: string; CERT: string }> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    keys,
    name: 'CN=test',
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return { KEY: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`, CERT: certificate.toString('pem') };
}

/** Sends a marker there and back between two namespaces while capturing; returns the report and whether the marker was visible. */
async function reported(
  mode: string,
  port: number,
  host: string,
): Promise<WireReport & { markerVisible: boolean; markerBytes: number }> {
  const id = randomBytes(3).toString('hex');
  const [a, b] = [`weft-test-${id}-a`, `weft-test-${id}-b`];
  const dir = await mkdtemp(join(tmpdir(), 'weft-wire-'));
  const marker = randomBytes(32).toString('hex');
  const env = { ...process.env, TLS_MODE: mode, PORT: String(port), HOST: host, MARKER: marker, ...(await selfSigned()) };
  try {
    const [near, far] = [a, b].map((netns) => ({ netns, device: 'wire' })) as [LinkEnd, LinkEnd];
    const lines = [
      ...[a, b].flatMap(namespaceCommands),
      ...cableCommands(near, far),
      ...addressCommands(near, '10.0.0.1/24', 'fd00::1/64'),
      ...addressCommands(far, '10.0.0.2/24', 'fd00::2/64'),
    ];
    for (const line of lines) await command(line);
    const [program = '', ...args] = inNetns(b, [process.execPath, '-e', SERVER]);
    const server = execFile(program, args, { env });
    await new Promise((resolve) => server.stdout?.once('data', resolve));
    const [client = '', ...clientArgs] = inNetns(a, [process.execPath, '-e', CLIENT]);
    const { file } = await captured({ netns: a, device: 'wire' }, join(dir, 'wire.pcap'), 'tcp', () =>
      promisify(execFile)(client, clientArgs, { env, timeout: 10_000 }),
    );
    server.kill('SIGKILL');
    return { ...reportWire(file), markerVisible: file.includes(marker), markerBytes: marker.length * 4000 };
  } finally {
    for (const netns of [a, b]) await command(['ip', 'netns', 'delete', netns]);
    await rm(dir, { recursive: true });
  }
}

// Each waits a second for its capture to settle; they do so together.
describe('captures', { concurrency: true }, () => {
  for (const host of ['10.0.0.2', 'fd00::2']) {
    test(`a capture of TLS 1.3 on the HBONE port has no problem, to ${host}`, { skip: missing }, async () => {
      const report = await reported('TLSv1.3', 15_008, host);
      assert.deepEqual(report.problems, []);
      assert.equal(report.connections, 1);
      assert.equal(report.handshakes, 1);
      assert.equal(report.markerVisible, false);
      assert.ok(report.encryptedBytes > 2 * report.markerBytes, `${report.encryptedBytes} bytes`);
    });
  }

  const wrong = [
    { name: 'plain bytes on the HBONE port', mode: 'plain', port: 15_008, problem: /no TLS record/, visible: true },
    { name: 'TLS 1.2 on the HBONE port', mode: 'TLSv1.2', port: 15_008, problem: /does not select TLS 1.3/, visible: false },
    { name: 'TLS 1.3 on another port', mode: 'TLSv1.3', port: 15_009, problem: /not HBONE/, visible: false },
  ];
  for (const { name, mode, port, problem, visible } of wrong) {
    test(`${name} is a problem`, { skip: missing }, async () => {
      const report = await reported(mode, port, 'fd00::2');
      assert.match(report.problems.join('\n'), problem);
      assert.equal(report.markerVisible, visible);
    });
  }
});
