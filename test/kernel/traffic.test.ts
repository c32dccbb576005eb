import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { resolveName as resolveMeshName } from '#model/dns/resolve-name.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { resolveName } from '#platform/dns-upstream/names.ts';
import { createTestCa } from '#platform/hbone/test-ca.testing.ts';
import { type App, Bed } from './bed.testing.ts';
import { Configured, pod, service } from './configured.testing.ts';
import { agentOn } from './mesh.testing.ts';
import { Nameserver } from './nameserver.testing.ts';

/** A TCPRoute of namespace shop for the service `cart`. */
function tcpRoute(backends: string, { name = 'cart', namespace = 'shop', parent = 'cart' } = {}): string {
  const parents = `parentRefs: [{ group: "", kind: Service, name: ${parent}, namespace: shop }]`;
  return `{ apiVersion: gateway.networking.k8s.io/v1, kind: TCPRoute, metadata: { name: ${name}, namespace: ${namespace} }, spec: { ${parents}, rules: [{ backendRefs: [${backends}] }] } }`;
}
const to = (name: string, weight: number, more = ''): string => `{ name: ${name}, port: 80, weight: ${weight}${more} }`;

function entry(name: string, spec: string): string {
  const ports = 'ports: [{ name: tcp, number: 5432, protocol: TCP, targetPort: 15432 }]';
  return `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: ${name}, namespace: shop }, spec: { ${ports}, ${spec} } }`;
}

/** In points of per cent, how far what was heard is from what is wanted. */
function farthest(heard: Record<string, number>, wanted: Record<string, number>): number {
  const total = Object.values(heard).reduce((sum, count) => sum + count, 0);
  const names = new Set([...Object.keys(heard), ...Object.keys(wanted)]);
  return Math.max(...[...names].map((name) => Math.abs((100 * (heard[name] ?? 0)) / total - (wanted[name] ?? 0))));
}

/** Until it holds; at most five seconds. */
async function eventually(check: () => Promise<void>): Promise<void> {
  for (const endMs = performance.now() + 5_000; ; ) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** What users write, carried out by the kernel of one node and over tunnels to another. */
describe('traffic by what users write', () => {
  const one = new Bed();
  const two = new Bed();
  const hosts = { a: one.host(1), v1: one.host(2), v2: one.host(3), f1: one.host(4), f2: one.host(5), db: one.host(6) };
  let near: ReturnType<typeof agentOn>;
  let far: ReturnType<typeof agentOn>;
  let mesh: Configured;
  const lines: string[] = [];
  let client: App;
  let nameserver: Nameserver;
  const tally = async (count: number, host: string, port = 80): Promise<Record<string, number>> => {
    client.send(`tally ${count} ${host} ${port}`);
    return JSON.parse(await client.line()) as Record<string, number>;
  };

  /** Within one per cent of 10,000. A fair draw is farther off once in a thousand times, and then not twice. */
  const assertShares = async (host: string, wanted: Record<string, number>): Promise<void> => {
    const heard = await tally(10_000, host);
    if (farthest(heard, wanted) > 1) assert.ok(farthest(await tally(10_000, host), wanted) <= 1, JSON.stringify(heard));
  };

  before(async () => {
    const ca = await createTestCa();
    nameserver = await Nameserver.start();
    const nameservers = [{ address: '127.0.0.1', port: nameserver.port }];
    const onLine = (fields: object, message: string): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
    near = agentOn(one, { node: 'one', ca, onLine, resolveName: (name) => resolveName(name, nameservers) });
    far = agentOn(two, { node: 'two', ca });
    mesh = await Configured.start(
      [near, far].map(
        ({ agent }) =>
          (delta: MeshDelta) =>
            agent.applyMesh(delta, true),
      ),
    );
    mesh.put(
      pod('a', hosts.a),
      pod('v1', hosts.v1),
      pod('v2', hosts.v2),
      pod('f1', hosts.f1, { node: 'two' }),
      pod('f2', hosts.f2, { node: 'two' }),
      ...['v1', 'v2', 'f1', 'f2'].map((name) => service(name)),
      service('cart', { app: 'v1' }),
      service('v2', { namespace: 'far', app: 'v2' }),
    );
    for (const name of ['a', 'v1', 'v2'] as const)
      await near.agent.enroll({ ...mesh.request(name), netnsPath: hosts[name].netnsPath });
    for (const name of ['f1', 'f2'] as const) await far.agent.enroll({ ...mesh.request(name), netnsPath: hosts[name].netnsPath });
    const greeters = (['v1', 'v2', 'f1', 'f2'] as const).map((name) => {
      const bed = name.startsWith('f') ? two : one;
      return bed.app(hosts[name].netnsPath, 'greeter', { port: 8080, targets: [name] }).line();
    });
    greeters.push(one.app(hosts.db.netnsPath, 'greeter', { port: 15432, captured: false, targets: ['db'] }).line());
    await Promise.all(greeters);
    client = one.app(hosts.a.netnsPath, 'tally-client');
    await client.line();
  });
  after(async () => {
    near?.stop();
    far?.stop();
    nameserver?.close();
    await one.down();
    await two.down();
  });

  for (const [family, at] of [
    ['IPv4', 0],
    ['IPv6', 1],
  ] as const)
    test(`TCPRoute 90/10 on one node over ${family}: the kernel draws, the agent carries nothing`, async () => {
      mesh.put(tcpRoute(`${to('v1', 90)}, ${to('v2', 10)}`));
      assert.deepEqual(mesh.yaml.conditions('TCPRoute shop/cart'), ['Accepted True Accepted', 'ResolvedRefs True ResolvedRefs']);
      const before = near.counters();
      await assertShares(mesh.addresses('shop/cart')[at] ?? '', { v1: 90, v2: 10 });
      assert.equal((near.counters().captured ?? 0) - (before.captured ?? 0), 0);
    });

  test('TCPRoute 90/10 to another node, over tunnels', async () => {
    mesh.put(tcpRoute(`${to('f1', 90)}, ${to('f2', 10)}`));
    await assertShares(mesh.addresses('shop/cart')[0] ?? '', { f1: 90, f2: 10 });
  });

  const vip = () => mesh.addresses('shop/cart')[0] ?? '';
  const only = async (backends: string): Promise<string[]> => {
    mesh.put(tcpRoute(backends));
    return Object.keys(await tally(64, vip()));
  };

  test('weight 0 gets nothing; all of them 0, and what goes nowhere, is refused', async () => {
    assert.deepEqual(await only(`${to('v1', 0)}, ${to('v2', 1)}`), ['v2']);
    assert.deepEqual(await only(`${to('v1', 0)}, ${to('v2', 0)}`), ['ECONNREFUSED']);
    assert.deepEqual(await only(`${to('nobody', 0)}, ${to('v2', 1)}`), ['v2']);
    assert.deepEqual(await only(`${to('nobody', 1)}, ${to('v2', 1)}`), ['ECONNREFUSED', 'v2']);
    assert.match(
      mesh.yaml.problems('TCPRoute shop/cart').join(),
      /Service shop\/nobody not found; 50 % of the connections are refused/,
    );
    assert.deepEqual(await only(to('cart', 1)), ['v1'], 'the service itself, which is not routed again');
  });

  test('a backend that comes and goes is drawn and left out at once', async () => {
    mesh.put(tcpRoute(to('late', 1)));
    assert.deepEqual(Object.keys(await tally(16, vip())), ['ECONNREFUSED']);
    mesh.put(service('late', { app: 'v2' }));
    assert.deepEqual(Object.keys(await tally(16, vip())), ['v2']);
    mesh.remove('Service shop/late');
    assert.deepEqual(Object.keys(await tally(16, vip())), ['ECONNREFUSED']);
    mesh.remove('TCPRoute shop/cart');
    assert.deepEqual(Object.keys(await tally(16, vip())), ['v1'], 'without a route the service has its own endpoints again');
  });

  test('config-api 1.15: a route of the clients’ own namespace holds for them alone; another namespace has to allow that it sends there', async () => {
    mesh.put(tcpRoute(to('v2', 1)), tcpRoute(to('v2', 1), { name: 'mine', namespace: 'elsewhere' }));
    assert.deepEqual(Object.keys(await tally(16, vip())), ['v2'], 'a client of shop');
    assert.deepEqual(mesh.yaml.conditions('TCPRoute elsewhere/mine')[1], 'ResolvedRefs False BackendNotFound');
    mesh.put(tcpRoute(to('v2', 1, ', namespace: far'), { name: 'mine', namespace: 'elsewhere' }));
    assert.deepEqual(mesh.yaml.conditions('TCPRoute elsewhere/mine')[1], 'ResolvedRefs False RefNotPermitted');
    mesh.put(
      '{ apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: { name: g, namespace: far }, spec: { from: [{ group: gateway.networking.k8s.io, kind: TCPRoute, namespace: elsewhere }], to: [{ group: "", kind: Service }] } }',
    );
    assert.deepEqual(mesh.yaml.conditions('TCPRoute elsewhere/mine')[1], 'ResolvedRefs True ResolvedRefs');
    mesh.remove('ReferenceGrant far/g');
    assert.deepEqual(mesh.yaml.conditions('TCPRoute elsewhere/mine')[1], 'ResolvedRefs False RefNotPermitted');
    mesh.remove('TCPRoute elsewhere/mine');
  });

  const heard = async (host: string, port: number, count = 16): Promise<string[]> => Object.keys(await tally(count, host, port));
  const hostAddresses = (host: string): readonly string[] => near.agent.mesh.servicesByHostname(host)[0]?.addresses ?? [];
  const asksFor = (name: string) =>
    resolveMeshName({ name, type: 'A' }, { namespace: 'shop' }, near.agent.mesh, {
      ...{ clusterDomain: 'cluster.local', searchDomains: null, preferredNamespace: null, ipv6: true },
    });

  test('K76: 200 connections of a client reach one endpoint, on this node and by tunnels, until that leaves', async () => {
    const sticky = (names: string): string =>
      `{ apiVersion: v1, kind: Service, metadata: { name: sticky, namespace: shop }, spec: { sessionAffinity: ClientIP, selector: { tier: ${names} }, ports: [{ name: tcp, port: 80, targetPort: 8080 }] } }`;
    const all = ['v1', 'v2', 'f1', 'f2'] as const;
    const labelled = (name: (typeof all)[number], tier: string): string =>
      pod(name, hosts[name], name.startsWith('f') ? { node: 'two' } : {}).replace(`app: ${name}`, `app: ${name}, tier: ${tier}`);
    mesh.put(sticky('s'), ...all.map((name) => labelled(name, 's')));
    const left = new Set<string>(all);
    for (const vip of mesh.addresses('shop/sticky')) {
      const [mine = ''] = await heard(vip, 80, 1); // two that are the first at the same time may be drawn for both
      assert.ok(left.has(mine), mine);
      assert.deepEqual(await heard(vip, 80, 200), [mine]);
    }
    while (left.size > 1) {
      const vip = mesh.addresses('shop/sticky')[0] ?? '';
      const [mine = ''] = await heard(vip, 80, 1);
      mesh.put(labelled(mine as (typeof all)[number], 'gone'));
      left.delete(mine);
      const [next = ''] = await heard(vip, 80, 1);
      assert.ok(left.has(next), `${next} after ${mine}`);
      assert.deepEqual(await heard(vip, 80, 100), [next]);
      for (const gone of all.filter((name) => !left.has(name))) mesh.put(labelled(gone, 's'));
      assert.deepEqual(await heard(vip, 80, 100), [next], 'who comes takes nobody');
      for (const gone of all.filter((name) => !left.has(name))) mesh.put(labelled(gone, 'gone'));
    }
    mesh.remove('Service shop/sticky');
    mesh.put(...all.map((name) => labelled(name, 'gone')));
  });

  test('config-api 4.5: a host with STATIC endpoints outside is answered by DNS and reached by its addresses', async () => {
    mesh.put(
      entry(
        'db',
        `hosts: [db.example.com, "*.db.example.com"], resolution: STATIC, endpoints: [{ address: ${hosts.db.ip4} }, { address: "${hosts.db.ip6}" }]`,
      ),
    );
    for (const host of ['db.example.com', 'x.db.example.com']) {
      const answer = asksFor(host);
      assert.deepEqual(answer.kind === 'answer' && answer.addresses.length, 1, host);
    }
    for (const vip of hostAddresses('db.example.com')) assert.deepEqual(await heard(vip, 5432), ['db'], vip);
    assert.deepEqual(
      await heard(hostAddresses('db.example.com')[0] ?? '', 5433),
      ['ECONNREFUSED'],
      'a port that it does not have',
    );
  });

  test('config-api 4.5: a host that is resolved by DNS', async () => {
    nameserver.records.set('real.example.com', [hosts.db.ip4]);
    mesh.put(entry('named', 'hosts: [real.example.com], resolution: DNS'));
    const vip = hostAddresses('real.example.com')[0] ?? '';
    await eventually(async () => assert.deepEqual(await heard(vip, 5432), ['db']));
    assert.deepEqual(nameserver.asked, ['A real.example.com', 'AAAA real.example.com']);
  });

  test('config-api 4.5: a host with workloads of the mesh is reached as those are, and one with NONE where it is', async () => {
    mesh.put(
      entry('mine', 'hosts: [v.example.com], resolution: STATIC, workloadSelector: { labels: { app: f1 } }').replace(
        '15432',
        '8080',
      ),
    );
    const before = near.counters().captured ?? 0;
    assert.deepEqual(await heard(hostAddresses('v.example.com')[0] ?? '', 5432), ['f1']);
    assert.equal((near.counters().captured ?? 0) - before, 16, 'over tunnels');
    mesh.put(
      entry('none', `hosts: [n.example.com], resolution: NONE, addresses: [${hosts.db.ip4}]`).replace(
        'number: 5432',
        'number: 15432',
      ),
    );
    assert.deepEqual(await heard(hosts.db.ip4, 15432), ['db']);
    assert.deepEqual(await heard(hosts.db.ip4, 15433), ['ECONNREFUSED']);
    assert.equal((near.counters().captured ?? 0) - before, 16, 'and past the agent');
  });

  test('promise 1: an endpoint whose address is that of a workload of the mesh is reached encrypted', async () => {
    const before = far.agent.carried;
    mesh.put(
      entry('alias', `hosts: [alias.example.com], resolution: STATIC, endpoints: [{ address: ${hosts.f2.ip4} }]`).replace(
        '15432',
        '8080',
      ),
    );
    assert.deepEqual(await heard(hostAddresses('alias.example.com')[0] ?? '', 5432), ['f2']);
    assert.equal(far.counters().inbound_open ?? 0, 0, 'nothing came in plain text');
    assert.ok(far.agent.carried >= before);
  });

  test('config-api 7.4: registry-only: what the mesh does not know is refused in the kernel, and told; what it knows is not', async () => {
    const namespace = (mode: string): string =>
      `{ apiVersion: v1, kind: Namespace, metadata: { name: shop, annotations: { weft.dev/egress: ${mode} } } }`;
    const unknown = async (): Promise<string[]> => [...(await heard(hosts.db.ip4, 15432)), ...(await heard(hosts.db.ip6, 15432))];
    mesh.remove('ServiceEntry shop/none', 'ServiceEntry shop/db', 'ServiceEntry shop/named');
    assert.deepEqual(await unknown(), ['db', 'db'], 'nothing is said, and anything goes');
    mesh.put(namespace('registry-only'));
    assert.deepEqual(await unknown(), ['ECONNREFUSED', 'ECONNREFUSED']);
    near.readEvents();
    assert.ok(
      lines.some((line) => line.includes('"not-registered"') && line.includes(`${hosts.db.ip4}:15432`)),
      lines.join('\n'),
    );
    assert.deepEqual(await heard(mesh.addresses('shop/v1')[0] ?? '', 80), ['v1'], 'services of the mesh');
    assert.deepEqual(await heard(hosts.f1.ip4, 8080), ['f1'], 'and its workloads');
    mesh.put(
      entry('none', `hosts: [n.example.com], resolution: NONE, addresses: [${hosts.db.ip4}]`).replace(
        'number: 5432',
        'number: 15432',
      ),
    );
    assert.deepEqual(await unknown(), ['db', 'ECONNREFUSED'], 'and what a ServiceEntry names');
    mesh.put(namespace('allow-any'));
    assert.deepEqual(await unknown(), ['db', 'db']);
  });
});
