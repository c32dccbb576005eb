import assert from 'node:assert/strict';
import { type ChildProcessByStdio, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { waitUntil } from '#testbed/processes/wait.ts';
import { Programs, ROOT, WEFT } from './programs.testing.ts';

const WAIT_MS = 15_000;
const PEER_IP = '10.98.0.7';
const OUTSIDE_IP = '10.98.0.8';
const VIP = '10.96.0.10';
const FAR_VIP = '10.96.0.11';
const SERVER = `const { networkInterfaces } = require('node:os');
  const [{ address }] = networkInterfaces().eth0.filter(({ family }) => family === 'IPv4');
  require('node:http').createServer((request, answer) => answer.end('web ' + request.socket.remoteAddress))
    .listen(8080, () => console.log('listening on', address));`;
const CLIENT = `const { networkInterfaces } = require('node:os');
  const [{ address }] = networkInterfaces().eth0.filter(({ family }) => family === 'IPv4');
  console.log('listening on', address); setInterval(() => {}, 1000);`;

/** Holds a connection to the other node open. */
const TALK = `exec 3<>/dev/tcp/${FAR_VIP}/80 && echo talking && sleep 20`;

type Fact = Record<string, unknown> & {
  request?: {
    type: string;
    nonce: string;
    nack?: string;
    subscribe: string[];
    unsubscribe: string[];
    versions: Record<string, string>;
  } & {
    node?: { id: string; metadata: Record<string, string> };
  };
};

/** The stand-in for an istiod, in a network namespace of its own with the agent. */
class Istiod {
  readonly facts: Fact[] = [];
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  #text = '';

  constructor(dir: string, onDemand: boolean) {
    const up = 'ip link set lo up && ip addr add "$1/32" dev lo && ip addr add "$2/32" dev lo';
    const script = `${up} && exec "$3" "$4" "$5" "$1" "$2" "$6"`;
    const program = [process.execPath, join(ROOT, 'test/e2e/istiod.testing.ts'), dir, onDemand ? 'on-demand' : ''];
    const child = spawn('unshare', ['--net', 'sh', '-c', script, 'sh', PEER_IP, OUTSIDE_IP, ...program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdout.on('data', (chunk: Buffer) => {
      const lines = (this.#text + chunk.toString()).split('\n');
      this.#text = lines.pop() ?? '';
      for (const line of lines) this.facts.push(JSON.parse(line) as Fact);
    });
    this.#child = child;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  tell(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** The first fact from `since` on that matches. */
  hears(what: string, match: (fact: Fact) => boolean, since = 0): Promise<Fact> {
    return waitUntil(what, WAIT_MS, () => this.facts.slice(since).find(match) ?? null);
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return; // by a mistake of its own
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}

/** An agent, its workloads and an istiod of one kind; all in one namespace. */
class Place {
  readonly dir = mkdtempSync(join(tmpdir(), 'weft-istiod-'));
  readonly node = `istiod-${randomBytes(3).toString('hex')}`;
  readonly programs = new Programs();
  readonly istiod: Istiod;
  readonly #onDemand: boolean;
  agentLog: () => string = () => '';
  web = '';
  client = '';

  constructor(onDemand: boolean) {
    this.#onDemand = onDemand;
    this.istiod = new Istiod(this.dir, onDemand);
  }

  /** A command of Weft in the namespace of both. */
  weft(...args: string[]) {
    return this.programs.start(['nsenter', '-t', String(this.istiod.pid), '-n', WEFT, ...args]);
  }

  async up(): Promise<void> {
    await this.istiod.hears('word of the istiod', ({ ready }) => ready === true);
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { sub: 'system:serviceaccount:istio-system:ztunnel', aud: ['istio-ca'], exp: 4_000_000_000 };
    writeFileSync(join(this.dir, 'token'), `${part({ alg: 'RS256' })}.${part(claims)}.c2ln`);
    const agent = this.weft(
      ...['agent', '--node', this.node, '--run-dir', join(this.dir, 'run'), '--trust-domain', 'cluster.local'],
      ...['--control', '127.0.0.1:15012', '--control-server-name', 'istiod.istio-system.svc'],
      ...['--control-root', join(this.dir, 'root-cert.pem'), '--token-file', join(this.dir, 'token')],
      ...['--pool4', '10.99.0.0/24', '--pool6', 'fd99::/64', '--stats', '127.0.0.1:15020'],
      ...['--health', `${PEER_IP}:15021`, '--admin', '127.0.0.1:15000'],
      ...['--crl', join(this.dir, 'crl.pem')],
      ...(this.#onDemand ? ['--on-demand'] : []),
    );
    this.agentLog = agent.output;
    await agent.until(/agent is running/);
    const [web, client] = [this.#run('web', SERVER), this.#run('client', CLIENT)];
    for (const program of [web, client]) await program.until(/listening on/);
    this.web = addressIn(web.output());
    this.client = addressIn(client.output());
    this.istiod.tell(`let server ${this.web}`);
    this.istiod.tell(`let client ${this.client}`);
  }

  #run(name: string, script: string) {
    const options = ['--user', 'root', '--namespace', 'shop', '--name', name, '--service-account', name];
    const socket = join(this.dir, 'run', this.node, 'agent.sock');
    return this.weft('run', ...options, '--agent-socket', socket, '--', process.execPath, '-e', script);
  }

  /** What curl says inside the client, tried until it is something. */
  async asks(url: string): Promise<string> {
    return waitUntil(`answer of ${url}`, WAIT_MS, async () => {
      const { status, text } = await this.tries(url);
      return status === 0 && text;
    });
  }

  async tries(url: string): Promise<{ status: number | null; text: string }> {
    const program = this.weft(
      'exec',
      '--namespace',
      'shop',
      '--run-dir',
      join(this.dir, 'run'),
      'client',
      '--',
      'curl',
      '-sS',
      '-m',
      '3',
      url,
    );
    const status = await program.ended;
    return { status, text: program.output() };
  }

  /** What the ztunnel of another node gets of the app; null: no answer, as its certificate may not be there yet. */
  async dialled(): Promise<Fact | null> {
    const since = this.istiod.facts.length;
    this.istiod.tell(`dial ${this.web} 8080`);
    const fact = await this.istiod.hears('answer', (one) => 'dialled' in one, since);
    return typeof fact.dialled === 'number' ? fact : null;
  }

  async down(): Promise<void> {
    await this.programs.endAll('SIGINT');
    const cleanup = this.weft('agent', '--node', this.node, '--run-dir', join(this.dir, 'run'), '--cleanup');
    await cleanup.ended;
    await this.istiod.end();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** What istioctl reads of a dump. */
type Dump = {
  workloads: { uid: string; workloadIps: string[] }[];
  services: { hostname: string; vips: string[]; ports: Record<string, number>; endpoints: Record<string, { port: object }> }[];
  policies: { name: string; scope: string; action: string; rules: unknown }[];
  certificates: {
    identity: string;
    state: string;
    certChain: { serialNumber: string; expirationTime: string }[];
    rootCerts: unknown[];
  }[];
  workloadState: Record<
    string,
    {
      state: string;
      info: { name: string };
      connections: { outbound: { src: string; originalDst: string; actualDst: string; protocol: string }[] };
    }
  >;
};

function addressIn(output: string): string {
  return /listening on (\S+)/.exec(output)?.[1] ?? '';
}

describe('a stock istiod above the agent', () => {
  const place = new Place(false);
  const { istiod } = place;
  before(() => place.up());
  after(() => place.down());

  /** A page of the agent, as somebody of its machine sees it. */
  const page = (url: string): string => {
    const asked = ['-t', String(istiod.pid), '-n', 'curl', '-sS', '-m', '5', url];
    return execFileSync('nsenter', asked, { encoding: 'utf8' });
  };

  test('the agent introduces itself as a ztunnel of the namespace and account of its token, on wildcard subscriptions of two types', async () => {
    const facts = await waitUntil('both subscriptions', WAIT_MS, () => {
      const firsts = istiod.facts.flatMap(({ request }) => (request?.node === undefined ? [] : [request]));
      return firsts.length >= 2 && firsts;
    });
    assert.deepEqual(new Set(facts.map(({ type }) => type)), new Set(['Address', 'Authorization']));
    for (const { subscribe, unsubscribe, node } of facts) {
      assert.deepEqual([subscribe, unsubscribe], [[], []]);
      assert.match(node?.id ?? '', /^ztunnel~[\d.]+~[^.~]+\.istio-system~istio-system\.svc\.cluster\.local$/);
      const { NAMESPACE, SERVICE_ACCOUNT, NODE_NAME, CLUSTER_ID } = node?.metadata ?? {};
      assert.deepEqual(
        [NAMESPACE, SERVICE_ACCOUNT, NODE_NAME, CLUSTER_ID],
        ['istio-system', 'ztunnel', place.node, 'Kubernetes'],
      );
    }
    const [stream] = istiod.facts.filter((fact) => 'stream' in fact);
    const { authorization, clusterid } = (stream?.stream ?? {}) as Record<string, string[]>;
    assert.match(authorization?.[0] ?? '', /^Bearer eyJ/);
    assert.deepEqual(clusterid, ['Kubernetes']);
  });

  test('B63: the one resource that no node proxy takes is named in a NACK, what the istiod removes unasked is no error', async () => {
    const { request } = await istiod.hears('NACK', (fact) => fact.request?.nack !== undefined);
    assert.match(request?.nack ?? '', /^Kubernetes\/networking\.istio\.io\/WorkloadEntry\/legacy\/vm: [^;]*$/);
    const ack = await istiod.hears('ACK', ({ request: one }) => one?.type === 'Authorization' && one.nonce !== '');
    assert.equal(ack.request?.nack, undefined);
  });

  test('B68: its own workloads are found by their addresses under whatever name; the app is reached by the VIP and by name', async () => {
    istiod.tell('push address pods');
    assert.equal((await place.asks(`http://${VIP}/`)).replace('::ffff:', ''), `web ${place.client}`);
    assert.match(await place.asks('http://web.shop.svc.cluster.local/'), /^web /);
  });

  test('B57: the authority of an istiod gets the request that it expects, and its first refusal is asked again', async () => {
    await place.asks(`http://${FAR_VIP}/`);
    const asked = istiod.facts.filter((fact) => 'csr' in fact);
    assert.ok(asked.length >= 2);
    for (const { csr, clusterid } of asked) {
      const { identity, ...rest } = csr as Record<string, unknown>;
      assert.match(String(identity), /^spiffe:\/\/cluster\.local\/ns\/shop\/sa\/(web|client)$/);
      assert.deepEqual(rest, { subject: '', names: [{ type: 'url', value: identity }], critical: true, isSigned: true });
      assert.deepEqual(clusterid, ['Kubernetes']);
    }
  });

  test('B5, B13, B14: the ztunnel of another node gets a tunnel with the headers of one', async () => {
    assert.equal(await place.asks(`http://${FAR_VIP}/`), 'far');
    const { connect, from, sni } = await istiod.hears('tunnel', (fact) => 'connect' in fact);
    assert.deepEqual([from, sni], ['URI:spiffe://cluster.local/ns/shop/sa/client', null]);
    const headers = connect as string[];
    const names = headers.filter((_, at) => at % 2 === 0);
    assert.deepEqual(names, [':method', ':authority', 'baggage', 'forwarded', 'traceparent']);
    const headerOf = (name: string): string => headers[headers.indexOf(name) + 1] ?? '';
    assert.equal(headerOf(':authority'), `${PEER_IP}:8080`);
    assert.match(headerOf('forwarded'), new RegExp(`^for="${place.client}:\\d+";host=far\\.shop\\.svc\\.cluster\\.local$`));
    assert.match(
      headerOf('baggage'),
      /^k8s\.cluster\.name=Kubernetes,k8s\.namespace\.name=shop,k8s\.pod\.name=client,service\.name=client/,
    );
    assert.match(headerOf('traceparent'), /^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });

  test('B12: a ztunnel that dials a workload of this node gets its app, and its baggage', async () => {
    const { dialled, baggage, body, peerName } = await waitUntil('an answer', WAIT_MS, () => place.dialled());
    assert.deepEqual([dialled, body], [200, `web ${body?.toString().includes('::ffff:') ? '::ffff:' : ''}${PEER_IP}`]);
    assert.equal(peerName, 'URI:spiffe://cluster.local/ns/shop/sa/web');
    assert.match(String(baggage), /service\.name=web,service\.version=v1/);
  });

  test('B10, B45: policies that a workload names come to be in force: the converted STRICT, and a DENY of one principal', async () => {
    istiod.tell('push address strict');
    const answer = await waitUntil('a denial', WAIT_MS, async () => (await place.dialled())?.dialled === 401 && 401);
    assert.equal(answer, 401);
    assert.match(await place.asks(`http://${VIP}/`), /^web /, 'a workload of this node has an identity');
  });

  test('B63: a reconnect says which versions are known, and what runs goes on meanwhile', async () => {
    const since = istiod.facts.length;
    istiod.tell('goaway');
    const again = (type: string) =>
      istiod.hears(`second ${type}`, ({ request }) => request?.node !== undefined && request.type === type, since);
    const { request } = await again('Address');
    assert.equal(request?.versions['Kubernetes//Pod/shop/far-6c9fd7-q2x8v'], 'c0ffee');
    assert.equal(request?.versions['Kubernetes//Pod/shop/web-7d4f8b-abcde'], '900e');
    assert.ok(
      !('Kubernetes/networking.istio.io/WorkloadEntry/legacy/vm' in (request?.versions ?? {})),
      'what was refused is not claimed',
    );
    const policies = await again('Authorization');
    assert.deepEqual(policies.request?.versions, { 'istio-system/istio_converted_static_strict': '', 'shop/not-far': '' });
    assert.match(await place.asks(`http://${VIP}/`), /^web /);
  });

  test('B52: probes are told that it is ready and lives, on the metrics page and where --health says', async () => {
    for (const place of ['127.0.0.1:15020', `${PEER_IP}:15021`]) {
      assert.deepEqual(page(`http://${place}/healthz/ready`), 'ready\n');
      assert.deepEqual(page(`http://${place}/healthz/live`), 'live\n');
    }
    assert.match(page('http://127.0.0.1:15020/metrics'), /^istio_build\{component="ztunnel"/m);
  });

  test('B65: the configuration is shown in the shape of a ztunnel’s, without a key, with connections while they are open', async () => {
    const long = place.weft(
      'exec',
      '--namespace',
      'shop',
      '--run-dir',
      join(place.dir, 'run'),
      'client',
      '--',
      'bash',
      '-c',
      TALK,
    );
    await long.until(/talking/);
    const text = page('http://127.0.0.1:15000/config_dump');
    assert.doesNotMatch(text, /PRIVATE KEY|eyJ/);
    assert.doesNotMatch(Buffer.from(text, 'base64').toString('latin1'), /PRIVATE KEY/);
    const dump = JSON.parse(text) as Dump;
    const web = dump.workloads.find(({ workloadIps }) => workloadIps.includes(place.web));
    assert.deepEqual(
      { ...web, workloadIps: [], uid: '', authorizationPolicies: [], services: [] },
      {
        ...{ uid: '', workloadIps: [], protocol: 'HBONE', name: 'web-7d4f8b-abcde', namespace: 'shop', serviceAccount: 'web' },
        ...{ workloadName: 'web', workloadType: 'pod', canonicalName: 'web', canonicalRevision: 'v1', clusterId: 'Kubernetes' },
        ...{ node: 'worker-1', network: '', networkMode: 'Standard', nativeTunnel: false, status: 'Healthy', capacity: 1 },
        ...{ authorizationPolicies: [], services: [] },
      },
    );
    const service = dump.services.find(({ hostname }) => hostname === 'web.shop.svc.cluster.local');
    assert.deepEqual([service?.vips, service?.ports], [[`/${VIP}`], { 80: 8080 }]);
    assert.deepEqual(service?.endpoints[web?.uid ?? '']?.port, { 80: 8080 });
    const strict = dump.policies.find(({ name }) => name === 'istio_converted_static_strict');
    assert.deepEqual(
      [strict?.scope, strict?.action, strict?.rules],
      ['WorkloadSelector', 'Deny', [[[{ notPrincipals: [{ Presence: null }] }]]]],
    );
    const certificate = dump.certificates.find(({ identity }) => identity.endsWith('/sa/web'));
    assert.deepEqual([certificate?.state, certificate?.certChain.length, certificate?.rootCerts.length], ['Available', 2, 1]);
    assert.match(certificate?.certChain[0]?.serialNumber ?? '', /^\d+$/);
    assert.ok(Date.parse(certificate?.certChain[0]?.expirationTime ?? '') > Date.now());
    const state = Object.values(dump.workloadState).find(({ info }) => info.name === 'client');
    const [connection] = state?.connections.outbound.filter(({ actualDst }) => actualDst.startsWith(PEER_IP)) ?? [];
    assert.deepEqual([state?.state, connection?.protocol, connection?.originalDst], ['Up', 'HBONE', `${FAR_VIP}:80`]);
    assert.ok(connection?.src.startsWith(`${place.client}:`));
  });

  test('B60: who comes to be on the list of his authority is let in no more', async () => {
    assert.equal((await place.dialled())?.dialled, 401);
    istiod.tell('revoke');
    await waitUntil('an end of tunnels', WAIT_MS, async () => (await place.dialled()) === null);
    await waitUntil('a line about it', WAIT_MS, () => /certificate-revoked/.test(place.agentLog()));
  });
});

describe('a stock istiod that is asked on demand', () => {
  const place = new Place(true);
  const { istiod } = place;
  before(() => place.up());
  after(() => place.down());

  type Request = NonNullable<Fact['request']>;
  const requests = (): Request[] => istiod.facts.flatMap(({ request }) => (request?.type === 'Address' ? [request] : []));
  const asked = (): string[] => requests().flatMap(({ subscribe }) => subscribe);
  const known = (): string[] => {
    const program = ['-t', String(istiod.pid), '-n', 'curl', '-sS', '-m', '5', 'http://127.0.0.1:15000/config_dump'];
    const { workloads, services } = JSON.parse(execFileSync('nsenter', program, { encoding: 'utf8' })) as Dump;
    return [...workloads.flatMap(({ workloadIps }) => workloadIps), ...services.flatMap(({ vips }) => vips)].sort();
  };

  test('C10, B72: it asks for nothing of all addresses, and for all policies', async () => {
    const first = await istiod.hears('first request', ({ request }) => request?.type === 'Address' && request.node !== undefined);
    assert.equal(first.request?.subscribe[0], '*');
    assert.deepEqual(first.request?.unsubscribe, ['*']);
    const policies = await istiod.hears('policies', ({ request }) => request?.type === 'Authorization');
    assert.deepEqual([policies.request?.subscribe, policies.request?.unsubscribe], [[], []]);
  });

  test('B68, B72: the records of its own workloads are those of their addresses, whatever the uid', async () => {
    istiod.tell('push address pods');
    await waitUntil('both records', WAIT_MS, () => known().join() === [place.client, place.web].sort().join());
    assert.ok(asked().includes(`/${place.web}`) && asked().includes(`/${place.client}`));
  });

  test('B73: a service that an app asks for by its name is asked for by that, and answered', async () => {
    assert.equal(await place.asks('http://far.shop.svc.cluster.local/'), 'far');
    assert.ok(asked().includes('shop/far.shop.svc.cluster.local'));
  });

  test('C11, B72: a VIP that an app dials is asked for by its address, once, and brings the service with its workloads', async () => {
    assert.equal((await place.asks(`http://${VIP}/`)).replace('::ffff:', ''), `web ${place.client}`);
    assert.equal(await place.asks(`http://${FAR_VIP}/`), 'far');
    assert.equal(await place.asks(`http://${FAR_VIP}/`), 'far');
    assert.deepEqual(
      [VIP, FAR_VIP].map((vip) => asked().filter((name) => name === `/${vip}`).length),
      [1, 1],
    );
    for (const { nonce, node } of requests().filter(({ subscribe }) => subscribe.includes(`/${FAR_VIP}`)))
      assert.deepEqual([nonce, node], ['', undefined]);
    assert.deepEqual(known(), [place.client, place.web, PEER_IP, `/${VIP}`, `/${FAR_VIP}`].sort(), 'and nothing else is known');
  });

  test('B24, B72: an address that nobody has is reached as it is', async () => {
    assert.equal(await place.asks(`http://${OUTSIDE_IP}:8080/`), 'outside');
    assert.ok(asked().includes(`/${OUTSIDE_IP}`));
  });

  test('B72: who is known to be outside is reached by the kernel alone, and by datagrams, too', async () => {
    const carried = (): number => place.agentLog().split(`"dst.addr":"${OUTSIDE_IP}:8080"`).length;
    const before = carried();
    assert.equal(await place.asks(`http://${OUTSIDE_IP}:8080/`), 'outside');
    const script = `const socket = require('node:dgram').createSocket('udp4', (data) => { console.log('got', data.toString()); process.exit(); });
      socket.send('ping', 5000, '${OUTSIDE_IP}');`;
    const of = ['--namespace', 'shop', '--run-dir', join(place.dir, 'run'), 'client'];
    const program = place.weft('exec', ...of, '--', 'timeout', '5', process.execPath, '-e', script);
    await program.ended;
    assert.match(program.output(), /got ping/);
    assert.equal(carried(), before);
  });

  test('B63, B72: a reconnect asks for the same names, and says which versions are known', async () => {
    const since = istiod.facts.length;
    istiod.tell('goaway');
    const { request } = await istiod.hears(
      'second stream',
      (fact) => fact.request?.type === 'Address' && fact.request.node !== undefined,
      since,
    );
    for (const name of ['*', `/${FAR_VIP}`, `/${OUTSIDE_IP}`]) assert.ok(request?.subscribe.includes(name), name);
    assert.equal(request?.versions['Kubernetes//Pod/shop/far-6c9fd7-q2x8v'], 'c0ffee');
    assert.equal(await place.asks(`http://${FAR_VIP}/`), 'far');
  });
});
