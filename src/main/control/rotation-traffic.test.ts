import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import test, { type TestContext } from 'node:test';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { SILENT_LOG } from '#model/effects/log.ts';
import { type Credentials, formatIdentity, type Identity, parseIdentity } from '#model/identity/identity.ts';
import type { Registration } from '#model/mesh/registration.ts';
import { systemClock } from '#platform/clock.ts';
import { etcdCluster, until } from '#platform/etcd/cluster.testing.ts';
import { CaClient, RegistryClient } from '#platform/grpc/control-clients.ts';
import { controlClient } from '#platform/local-api/clients.ts';
import { CertificateCache } from '#protocol/ca/certificate-cache.ts';
import type { RunningControl } from './control-process.ts';
import { closeAfter, endpointOf, follower, place, started } from './control-rig.testing.ts';

// Two control planes over an etcd with TLS replace the root, and the one that began ends on the way. Meanwhile two agents renew
// certificates of a few seconds, and call one another over mutual TLS without a pause.

/** Longer than a certificate lives, as 25 h are longer than 24. */
const OVERLAP_MS = 5_000;
/** From now on; a certificate reaches back two minutes, so its half-life is past and it is renewed every second. */
const LIFETIME_S = 4;
const IDENTITIES = ['a', 'b'].map((name) => parseIdentity(`spiffe://cluster.local/ns/shop/sa/${name}`));

/** A workload of a node with its certificate, which answers others of the mesh and calls them. */
class Party {
  readonly identity: Identity;
  readonly cache: CertificateCache;
  readonly server: Server;
  /** Every root that it was told to trust, at some time. */
  readonly trusted = new Set<string>();
  #held: Credentials | null = null;

  constructor(identity: Identity, ca: CaClient) {
    this.identity = identity;
    this.cache = new CertificateCache({
      ...{ fetch: ca.fetch, clock: systemClock, random: () => 0, log: SILENT_LOG, ttlSeconds: LIFETIME_S },
    });
    this.server = createServer({ requestCert: true, rejectUnauthorized: true }, (socket) => {
      socket.on('error', () => {}); // told by the client
      socket.end(uriOf(socket));
    });
    this.cache.subscribe((credentials) => this.#hold(credentials));
  }

  async start(): Promise<void> {
    this.#hold(await this.cache.get(this.identity));
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
  }

  #hold(credentials: Credentials): void {
    this.#held = credentials;
    for (const root of credentials.rootsPem) this.trusted.add(fingerprint(root));
    this.server.setSecureContext(contextOf(credentials));
  }

  get held(): Credentials {
    return this.#held ?? assert.fail('it has no certificate yet');
  }

  /** Resolves to whom the other one took it for. Errors: whatever kept the two from speaking. */
  call(other: Party): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const address = other.server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const wanted = formatIdentity(other.identity);
    const socket = connect({ ...contextOf(this.held), host: '127.0.0.1', port, checkServerIdentity: () => undefined });
    let heard = '';
    socket.on('secureConnect', () => {
      if (uriOf(socket) !== wanted) reject(new Error(`it is ${uriOf(socket)}, not ${wanted}`));
    });
    socket.on('data', (data) => {
      heard += data;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(heard));
    return promise;
  }

  close(): void {
    this.cache.close();
    this.server.close();
  }
}

function contextOf({ privateKeyPem, chainPem, rootsPem }: Credentials) {
  return { key: privateKeyPem, cert: chainPem, ca: [...rootsPem], minVersion: 'TLSv1.3' as const };
}

function uriOf(socket: TLSSocket): string {
  return /URI:(\S+)/.exec(socket.getPeerCertificate().subjectaltname ?? '')?.[1] ?? '';
}

function fingerprint(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

function registrationOf({ namespace, serviceAccount }: Identity, at: number): Registration {
  const own = { labels: {}, enrolled: true, nativeTunnel: false };
  return { name: serviceAccount, namespace, serviceAccount, addresses: [`10.41.${at}.2`], ...own };
}

test('C77: through a whole rotation of the root, and the end of who began it, agents trust one another and stay connected', async (t) => {
  const etcd = await etcdCluster(t, { secure: true });
  const store = { members: etcd.members, tls: etcd.tls, prefix: 'mesh/' };
  const one = async (t: TestContext) => {
    const where = await place(t);
    return { where, control: await started(where, { store, rootOverlapMs: OVERLAP_MS }) };
  };
  const first = await one(t);
  const second = await one(t);
  const both = [first.control.address, second.control.address].join();
  const api = ({ socketPath }: { socketPath: string }) => controlClient(socketPath);

  const parties: Party[] = [];
  const streams: ReturnType<typeof follower>[] = [];
  for (const [at, identity] of IDENTITIES.entries()) {
    const node = `node-${at}`;
    const endpoint = { ...(await endpointOf(first.control, node)), address: both };
    const registry = new RegistryClient(endpoint, node);
    closeAfter(t, registry);
    await registry.sync([registrationOf(identity, at)], []);
    // Streams are with the one that stays.
    const stream = follower(t, { ...endpoint, address: second.control.address }, { node });
    await stream.client.synced;
    const ca = new CaClient(endpoint, { impersonate: true });
    const party = new Party(identity, ca);
    closeAfter(t, ca, party);
    // Who leads may know of it before who is asked.
    await until('a certificate', () => party.start());
    parties.push(party);
    streams.push(stream);
  }

  const failures: string[] = [];
  let calls = 0;
  let over = false;
  t.after(() => {
    over = true;
  });
  const traffic = IDENTITIES.map(async (_identity, at) => {
    const [own, other] = [parties[at], parties[1 - at]];
    while (!over && own !== undefined && other !== undefined) {
      calls += 1;
      await own.call(other).then(
        (heard) => {
          if (heard !== formatIdentity(own.identity)) failures.push(`answered as ${heard}`);
        },
        (error: Error) => failures.push(`${new Date().toISOString()} ${error.message}`),
      );
    }
  });

  const former = rootOf(first.control);
  await api(first.where).rotateRoot();
  const stepped = (step: string | null) =>
    until(`step ${step}`, async () => assert.equal((await api(second.where).ca()).rotation, step), 3 * OVERLAP_MS);
  await stepped('distributing');
  await stepped('signing');
  await first.control.stop({ waypoints: false });
  await stepped(null); // over
  const next = rootOf(second.control);
  await until('certificates of the next root alone', async () => {
    for (const { held } of parties) assert.deepEqual(held.rootsPem.map(fingerprint), [next]);
  });
  over = true;
  await Promise.all(traffic);

  assert.notEqual(next, former);
  assert.deepEqual(failures, []);
  assert.ok(calls > 100, `${calls} calls`);
  for (const { trusted, held } of parties) {
    assert.deepEqual(trusted, new Set([former, next]));
    assert.equal(new X509Certificate(held.chainPem).checkIssued(new X509Certificate(second.control.rootsPem)), true);
  }
  assert.deepEqual(
    streams.map(({ client, connects }) => [client.status().connected, connects()]),
    [
      [true, 1],
      [true, 1],
    ],
  );
});

/** The first of the roots that a control plane has clients trust. */
function rootOf({ rootsPem }: RunningControl): string {
  return fingerprint(rootsPem);
}
