import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { SILENT_MISHAPS } from '#model/effects/mishaps.ts';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { parseIdentity } from '#model/identity/identity.ts';
import { OpensslAuthority, workloadExtensions } from '#platform/io/tls/authority.testing.ts';
import { type BadClient, badClients, shows, WEB } from '#platform/io/tls/bad-clients.testing.ts';
import { held, openssl, Rig, tcpDescriptor } from '#platform/io/tls/rig.testing.ts';
import { waitUntil } from '#testbed/processes/wait.ts';
import { recordingLog } from './peers.testing.ts';
import { createHboneServer } from './server.ts';

// What an operator reads of clients that openssl makes, and whose TLS or whose identity is bad.

const authority = new OpensslAuthority();
after(() => authority.remove());
const bad = badClients(authority);
const WAIT_MS = 10_000;
const PRINTABLE = /^[\x20-\x7e]*$/;

const rig = new Rig();
const { log, lines } = recordingLog();
const refusals: string[] = [];
let tunnels = 0;
const server = createHboneServer({
  io: rig.io,
  trustDomain: 'td.local',
  credentials: async () => ({
    identity: parseIdentity(WEB),
    privateKeyPem: bad.web.key,
    chainPem: bad.web.chain,
    rootsPem: [bad.root.pem],
    notBeforeMs: 0,
    notAfterMs: Number.MAX_SAFE_INTEGER,
  }),
  onTunnel: () => void tunnels++,
  onRefused: (cause) => void refusals.push(cause),
  door: new Doorkeeper({ limits: DOOR_LIMITS, clock: rig.clock, isKnown: () => true }),
  clock: rig.clock,
  log,
  mishaps: SILENT_MISHAPS,
});
const listener = rig.io.listen(tcpDescriptor(), (stream) => server.handle(stream));
after(() => {
  server.close();
  listener.close();
});

/** The line that the log has of a client. */
async function lineOf(...args: string[]): Promise<string> {
  const before = lines.length;
  const alpn = args.includes('-alpn') ? [] : ['-alpn', 'h2'];
  const version = args.some((arg) => arg.startsWith('-tls')) ? [] : ['-tls1_3'];
  const run = openssl('s_client', '-connect', `127.0.0.1:${listener.port}`, ...alpn, ...version, ...args);
  await waitUntil('a line of the log', WAIT_MS, async () => lines.length > before);
  run.stop();
  await run.over;
  assert.equal(lines.length, before + 1, 'one line for each');
  return lines[before] ?? '';
}

const HANDSHAKE = 'the TLS handshake failed: ';
const IDENTITIES: readonly BadClient[] = (
  [
    [
      'of another trust domain',
      /other\.local.*expected one of trust domain td\.local/,
      ['URI:spiffe://other.local/ns/shop/sa/web'],
    ],
    ['of a name that is no identity', /no workload identity/, ['URI:https://td.local/ns/shop/sa/web']],
    ['of a DNS name', /no workload identity/, ['DNS:web.shop']],
    [
      'of two identities, the first of which is foreign',
      /other\.local.*expected one of trust domain td\.local/,
      [`URI:spiffe://other.local/ns/shop/sa/web`, `URI:${WEB}`],
    ],
    ['of half an identity', /no workload identity/, ['URI:spiffe://td.local/ns/shop']],
    ['of no name', /no workload identity/, []],
  ] as const
).map(([name, expected, names]) => [
  name,
  expected,
  () => {
    const extensions = workloadExtensions(WEB).filter((line) => !line.startsWith('subjectAltName'));
    const san = names.length === 0 ? [] : [`subjectAltName=${names.join(',')}`];
    return shows(authority.issue({ issuer: bad.root, extensions: [...extensions, ...san] }));
  },
]);

test('every bad client of openssl is refused, and the log names why in one line', async (t) => {
  for (const [name, expected, args] of [...bad.certificates, ...bad.hellos]) {
    const line = await lineOf(...args());
    const at = line.indexOf(HANDSHAKE);
    assert.ok(line.startsWith('warn: HBONE connection failed 127.0.0.1:') && at > 0, `${name}: ${line}`);
    assert.match(line.slice(at + HANDSHAKE.length), expected, name);
  }
  for (const [name, expected, args] of IDENTITIES) assert.match(await lineOf(...args()), expected, name);
  const count = bad.certificates.length + bad.hellos.length + IDENTITIES.length;
  t.diagnostic(`${count} bad clients, ${lines.length} lines`);
  assert.equal(lines.length, count);
  assert.ok(count >= 30, `${count}`);
  assert.deepEqual(
    refusals,
    Array.from({ length: count }, () => 'handshake-failed'),
  );
  assert.equal(tunnels, 0);
  assert.deepEqual(server.sessions(), []);
  for (const line of lines) assert.ok(PRINTABLE.test(line) && !line.includes('PRIVATE KEY'), line);
});

test('a good one is served after them, and nothing is left behind', async () => {
  const run = openssl('s_client', '-connect', `127.0.0.1:${listener.port}`, '-tls1_3', '-alpn', 'h2', ...shows(bad.web));
  await waitUntil('a session', WAIT_MS, async () => server.sessions().length === 1);
  run.stop();
  await run.over;
  await waitUntil('its end', WAIT_MS, async () => server.sessions().length === 0);
  rig.clock.advance(60_000);
  assert.equal(held().ssl, 0);
});
