import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aMesh, aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { GatewayAddress, Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { decideOutbound, outboundChoices } from './decide.ts';

const client = aWorkload('client', ['10.0.0.1', 'fd00::1']);
const cart = aService('cart', ['240.0.0.1', 'fd99::1']);
const VIP = { ip: parseIp('240.0.0.1'), port: 80 };
const far = aWorkload('far', ['10.0.1.1', 'fd00:1::1'], { node: 'two', services: endpointOf(cart) });
const near = aWorkload('near', ['10.0.0.2'], { services: endpointOf(cart) });
const gate: GatewayAddress = { kind: 'hostname', namespace: 'shop', hostname: 'gate.shop.svc.cluster.local', hbonePort: 15008 };
const gateService = aService('gate', ['240.0.0.9']);
const gateWorkload = aWorkload('gate', ['10.0.0.9'], { services: endpointOf(gateService), nativeTunnel: true });

function decide(
  dialled: { ip: string; port: number },
  workloads: Workload[],
  services: Service[],
  extra: { source?: Workload; chosen?: { ip: string; port: number } } = {},
) {
  const mesh = aMesh([client, ...workloads], services);
  const chosen = extra.chosen === undefined ? null : { ip: parseIp(extra.chosen.ip), port: extra.chosen.port };
  return decideOutbound(
    { source: extra.source ?? client, dialled: { ip: parseIp(dialled.ip), port: dialled.port }, chosen },
    { mesh, isLocal: (uid) => mesh.workload(uid)?.node === 'one', random: () => 0 },
  );
}

test('B24: an address outside the mesh passes through', () => {
  assert.deepEqual(decide({ ip: '8.8.8.8', port: 53 }, [], []), { kind: 'passthrough', ip: '8.8.8.8', port: 53 });
});

test('B70: what was answered for a name that the mesh knows is no stranger to a registry-only namespace', () => {
  const source = { ...client, registryOnly: true };
  const question = { source, dialled: { ip: parseIp('9.9.9.9'), port: 443 }, chosen: null };
  const view = { mesh: aMesh([client]), isLocal: () => false, random: () => 0 };
  for (const [port, kind] of [
    [443, 'passthrough'],
    [80, 'refused'],
  ] as const) {
    const isNamed = (_: unknown, dialled: { port: number }): boolean => dialled.port === 443;
    assert.equal(decideOutbound({ ...question, dialled: { ...question.dialled, port } }, { ...view, isNamed }).kind, kind);
  }
});

test('a workload of a registry-only namespace reaches nobody whom the mesh does not know', () => {
  const source = { ...client, registryOnly: true };
  const path = decide({ ip: '8.8.8.8', port: 443 }, [far], [cart], { source });
  assert.deepEqual(path.kind === 'refused' && path.cause, 'not-registered');
  assert.equal(decide({ ip: '10.0.1.1', port: 8080 }, [far], [cart], { source }).kind, 'hbone');
});

test('B25: a VIP without healthy endpoints is refused', () => {
  const path = decide(VIP, [{ ...far, healthy: false }], [cart]);
  assert.equal(path.kind, 'refused');
  assert.match(path.kind === 'refused' ? path.reason : '', /no healthy upstream/);
});

test('K76: where the agent chooses, a client of a service with session affinity has one endpoint, and others have others', () => {
  const kept = { ...cart, affinityTimeoutS: 60 };
  const endpoints = Array.from({ length: 8 }, (_, at) => aWorkload(`e${at}`, [`10.0.2.${at}`], { services: endpointOf(cart) }));
  const choicesOf = (source: Workload, workloads: Workload[]): string[] => {
    const mesh = aMesh([source, ...workloads], [kept]);
    const question = { source, dialled: { ip: VIP.ip, port: 80 }, chosen: null };
    const choices = outboundChoices(question, { mesh, isLocal: () => false, random: () => 0 }, 64);
    return choices.map(({ path }) => (path.kind === 'hbone' ? path.ip : path.kind));
  };
  const clients = Array.from({ length: 32 }, (_, at) => aWorkload(`c${at}`, [`10.0.3.${at}`]));
  const first = clients.map((one) => choicesOf(one, endpoints));
  assert.ok(first.every(({ length }) => length === 1));
  assert.ok(new Set(first.flat()).size > 3, 'clients are spread');
  const left = endpoints.slice(1);
  for (const [at, one] of clients.entries()) {
    const [before] = first[at] ?? [];
    assert.equal(choicesOf(one, left)[0] === before, before !== '10.0.2.0', 'only those of the endpoint that left move');
  }
  assert.deepEqual(choicesOf(client, []), ['refused']);
  assert.equal(choicesOf(client, [far]).length, 1);
});

test('K76: what the kernel has kept for a client goes before the choice of the agent', () => {
  const kept = { ...cart, affinityTimeoutS: 60 };
  for (const ip of ['10.0.1.1', '10.0.0.2']) {
    const path = decide(VIP, [far, near], [kept], { chosen: { ip, port: 8080 } });
    assert.equal('ip' in path && path.ip, ip);
  }
});

test('a port that the service does not have is refused', () =>
  assert.equal(decide({ ...VIP, port: 81 }, [far], [cart]).kind, 'refused'));

test('an endpoint on another node is reached by HBONE, authority podIP:targetPort, its identity expected', () => {
  const path = decide(VIP, [far], [cart]);
  assert.deepEqual(
    path.kind === 'hbone' && [path.ip, path.tunnel.authority, path.tunnel.port, path.tunnel.peers[0]?.serviceAccount],
    ['10.0.1.1', '10.0.1.1:8080', 15008, 'far'],
  );
});

test('subject alternative names of the service are accepted too', () => {
  const path = decide(VIP, [far], [{ ...cart, subjectAltNames: ['spiffe://x/ns/y/sa/z', 'dns.name'] }]);
  assert.deepEqual(path.kind === 'hbone' && path.tunnel.peers.length, 2);
});

const next: GatewayAddress = { ...gate, hostname: 'next.shop.svc.cluster.local' };
const nextService = aService('next', ['240.0.0.8']);
const instanceOf = (service: Service, name: string, healthy = true): Workload =>
  aWorkload(name, [name === 'g' ? '10.0.1.8' : '10.0.1.9'], {
    node: 'two',
    services: endpointOf(service),
    nativeTunnel: true,
    healthy,
  });

/** How many of a hundred connections go where: to an instance, or why they are refused. */
function sharesOf(weight: number, workloads: Workload[], tried: Workload[] = []): Record<string, number> {
  const services = [{ ...cart, waypoint: gate, canary: { waypoint: next, weight } }, gateService, nextService];
  const mesh = aMesh([client, ...workloads], services);
  const question = {
    ...{ source: client, dialled: VIP, chosen: null },
    tried: tried.map(({ uid, addresses: [ip = VIP.ip] }) => ({
      service: 'shop/cart.shop.svc.cluster.local',
      uid,
      ip,
      port: 15_008,
    })),
  };
  const choices = outboundChoices(question, { mesh, isLocal: () => false, random: () => 0 }, 64);
  const total = choices.reduce((sum, one) => sum + one.weight, 0);
  const shares: Record<string, number> = {};
  for (const { path, weight: share } of choices) {
    const where = path.kind === 'waypoint' ? path.workload.name : path.kind === 'refused' ? path.cause : path.kind;
    shares[where] = (shares[where] ?? 0) + Math.round((100 * share) / total);
  }
  return shares;
}

const [stable, stable2, canary] = [instanceOf(gateService, 'g'), instanceOf(gateService, 'g2'), instanceOf(nextService, 'n')];
for (const { name, weight, workloads, tried, want } of [
  { name: 'gets its share', weight: 20, workloads: [stable, canary], want: { g: 80, n: 20 } },
  {
    name: 'gets its share of several instances',
    weight: 20,
    workloads: [stable, stable2, canary],
    want: { g: 40, g2: 40, n: 20 },
  },
  { name: 'of weight 0 gets nothing', weight: 0, workloads: [stable, canary], want: { g: 100 } },
  { name: 'may get all', weight: 100, workloads: [stable, canary], want: { n: 100 } },
  { name: 'without an instance leaves its share to the waypoint', weight: 20, workloads: [stable], want: { g: 100 } },
  {
    name: 'that is ill leaves its share to the waypoint, also all of it',
    ...{ weight: 100, workloads: [stable, { ...canary, healthy: false }], want: { g: 100 } },
  },
  { name: 'that cannot be reached leaves its share', weight: 20, workloads: [stable, canary], tried: [canary], want: { g: 100 } },
  { name: 'is not gone around', weight: 20, workloads: [], want: { 'no-waypoint': 100 } },
  { name: 'is none for the share of the waypoint', weight: 20, workloads: [canary], want: { 'no-waypoint': 80, n: 20 } },
  {
    name: 'is not gone around after tries',
    weight: 20,
    workloads: [stable, canary],
    tried: [stable, canary],
    want: { 'no-backend': 100 },
  },
])
  test(`B28: a canary ${name}`, () => assert.deepEqual(sharesOf(weight, workloads, tried), want));

test('B33: the family of the endpoint follows the request', () => {
  const path = decide({ ip: 'fd99::1', port: 80 }, [far, near], [cart]);
  assert.equal(path.kind === 'hbone' && path.tunnel.authority, '[fd00:1::1]:8080');
});

test('an endpoint of this node is local', () => assert.equal(decide(VIP, [near], [cart]).kind, 'local'));

test('the slot that the kernel drew is kept while it is an endpoint', () => {
  const path = decide(VIP, [far, near], [cart], { chosen: { ip: '10.0.0.2', port: 8080 } });
  assert.equal(path.kind, 'local');
  assert.notEqual(decide(VIP, [far, near], [cart], { chosen: { ip: '10.9.9.9', port: 8080 } }).kind, 'refused');
});

test('B26: a VIP with a waypoint goes there, authority unchanged', () => {
  const path = decide(VIP, [far, gateWorkload], [{ ...cart, waypoint: gate }, gateService]);
  assert.deepEqual(path.kind === 'waypoint' && [path.tunnel.authority, path.tunnel.ip, path.tunnel.peers[0]?.serviceAccount], [
    '240.0.0.1:80',
    '10.0.0.9',
    'gate',
  ]);
});

/** An instance of the waypoint as `node region/zone`. */
const instancesTaken: { name: string; client?: string; instances: string[]; want: string[] }[] = [
  { name: 'all where nothing is said of zones', instances: ['two /', 'three /'], want: ['two /', 'three /'] },
  { name: 'that on the node of the client', instances: ['one r/b', 'two r/a'], want: ['one r/b'] },
  { name: 'those of its zone', instances: ['two r/a', 'three r/b', 'four r/a'], want: ['two r/a', 'four r/a'] },
  { name: 'not those of a zone of the same name elsewhere', instances: ['two s/a', 'three r/b'], want: ['two s/a', 'three r/b'] },
  { name: 'all, to a client in no zone', client: '/', instances: ['two /', 'three r/b'], want: ['two /', 'three r/b'] },
];
for (const { name, client: place = 'r/a', instances, want } of instancesTaken) {
  test(`B26: of the instances of a waypoint are taken: ${name}`, () => {
    const localityOf = (text: string) => {
      const [region = '', zone = ''] = text.split('/');
      return { region, zone, subzone: '' };
    };
    const members = instances.map((text, at) => {
      const [node = '', where = ''] = text.split(' ');
      return { ...gateWorkload, uid: text, node, locality: localityOf(where), addresses: [parseIp(`10.0.5.${at + 1}`)] };
    });
    const source = { ...client, locality: localityOf(place) };
    const mesh = aMesh([source, ...members], [{ ...cart, waypoint: gate }, gateService]);
    const choices = outboundChoices({ source, dialled: VIP, chosen: null }, { mesh, isLocal: () => false, random: () => 0 }, 64);
    assert.deepEqual(
      choices.map(({ path }) => (path.kind === 'waypoint' ? path.workload.uid : path.kind)),
      want,
    );
  });
}

test('B27: a pod address uses the workload waypoint, its VIP does not', () => {
  const bound = { ...far, waypoint: gate };
  assert.equal(decide({ ip: '10.0.1.1', port: 8080 }, [bound, gateWorkload], [cart, gateService]).kind, 'waypoint');
  assert.equal(decide(VIP, [bound, gateWorkload], [cart, gateService]).kind, 'hbone');
});

test('B28: a bound waypoint that is missing or not ready refuses, never direct', () => {
  assert.equal(decide(VIP, [near], [{ ...cart, waypoint: gate }]).kind, 'refused');
  assert.equal(
    decide(VIP, [near, { ...gateWorkload, healthy: false }], [{ ...cart, waypoint: gate }, gateService]).kind,
    'refused',
  );
});

test('B29: the waypoint itself reaches the workload without passing itself', () => {
  const bound = { ...far, waypoint: gate };
  assert.equal(
    decide({ ip: '10.0.1.1', port: 8080 }, [bound, gateWorkload], [gateService], { source: gateWorkload }).kind,
    'hbone',
  );
});

test('B30: an endpoint without a tunnel is reached in plain text', () => {
  assert.deepEqual(decide(VIP, [{ ...far, tunnelProtocol: 'none' }], [cart]).kind, 'plain');
});

test('B31: a passthrough service keeps the original address', () => {
  const service: Service = { ...cart, loadBalancing: { mode: 'passthrough', routingPreference: [], allowUnhealthy: true } };
  assert.deepEqual(decide(VIP, [far], [service]), { kind: 'passthrough', ...VIP });
});

test('B32: the address of a host-network workload passes through, its service does not', () => {
  const host = { ...far, hostNetwork: true };
  assert.equal(decide({ ip: '10.0.1.1', port: 8080 }, [host], [cart]).kind, 'passthrough');
  assert.equal(decide(VIP, [host], [cart]).kind, 'hbone');
});

const [v1, v2] = [aService('v1', []), aService('v2', ['240.0.0.2'])];
const routed = (more: Partial<Service> = {}): Service => {
  const shares = [v1, v2].map((one, at) => ({ service: `shop/${one.hostname}`, port: 80, weight: at === 0 ? 3 : 1 }));
  return { ...cart, routes: [{ transport: 'tcp', port: 80, clientNamespace: null, shares }], ...more };
};
const behind = (service: Service, ip: string) => aWorkload(service.name, [ip], { services: endpointOf(service) });

test('config-api 1.14: a route leads to the endpoints of its backends, as often as they weigh', () => {
  const mesh = aMesh([client, near, behind(v1, '10.0.0.5'), behind(v2, '10.0.0.6')], [routed(), v1, v2]);
  const view = { mesh, isLocal: () => true, random: () => 0 };
  const ways = (more: Partial<Parameters<typeof outboundChoices>[0]> = {}) =>
    outboundChoices({ source: client, dialled: VIP, chosen: null, ...more }, view, 10).map(({ weight, path }) => [
      weight,
      path.kind === 'local' ? `${path.service?.name} ${path.ip}` : path.kind,
    ]);
  assert.deepEqual(ways(), [
    [3, 'v1 10.0.0.5'],
    [1, 'v2 10.0.0.6'],
  ]);
  const [ip, port] = [parseIp('10.0.0.6'), 8080];
  assert.deepEqual(ways({ chosen: { ip, port } }), [[1, 'v2 10.0.0.6']], 'what the kernel drew');
  const tried = [{ service: `shop/${v2.hostname}`, uid: 'k//Pod/shop/v2', ip, port }];
  assert.deepEqual(ways({ tried }), [[1, 'refused']], 'another share is not asked to stand in');
});

test('a backend that has a waypoint is reached by that, and by the address that the waypoint knows', () => {
  const bound = { ...v2, waypoint: gate };
  const shares = [{ service: `shop/${v2.hostname}`, port: 80, weight: 1 }];
  const services = [
    { ...cart, routes: [{ transport: 'tcp' as const, port: 80, clientNamespace: null, shares }] },
    bound,
    gateService,
  ];
  const path = decide(VIP, [behind(v2, '10.0.0.6'), gateWorkload], services);
  assert.deepEqual(path.kind === 'waypoint' && [path.tunnel.authority, path.service?.name], ['240.0.0.2:80', 'v2']);
});

test('B40: a namespace-only service is invisible to other namespaces', () => {
  const source = { ...client, namespace: 'other' };
  assert.equal(decide(VIP, [far], [{ ...cart, namespaceOnly: true }], { source }).kind, 'passthrough');
});
