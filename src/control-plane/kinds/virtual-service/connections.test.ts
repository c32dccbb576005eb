import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, parser, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { WaypointService } from '#model/waypoint/config.ts';

const TO = 'route: [{ destination: { host: v1 } }]';
const tls = (rule: string) => `{ hosts: [db.example.com, cart], tls: [{ ${rule} }] }`;
const tcp = (rule: string) => `{ hosts: [cart], tcp: [{ ${rule} }] }`;
const named = (name: string) => tls(`match: [{ sniHosts: ["${name}"] }], ${TO}`);

const mistakes: Mistake[] = [
  {
    name: 'tls without a match',
    spec: tls(`match: [], ${TO}`),
    at: 'spec.tls[0].match',
    says: /which names/,
    remedy: /sniHosts/,
  },
  {
    name: 'tls without names',
    spec: tls(`match: [{ sniHosts: [] }], ${TO}`),
    at: 'spec.tls[0].match[0].sniHosts',
    says: /for no name/,
    remedy: /write the names/,
  },
  {
    name: 'a name of other hosts',
    spec: named('x.org'),
    at: 'spec.tls[0].match[0].sniHosts[0]',
    says: /not among the hosts/,
    remedy: /spec.hosts/,
  },
  {
    name: 'a wider name',
    spec: named('*.example.com'),
    at: 'spec.tls[0].match[0].sniHosts[0]',
    says: /not among the hosts/,
    remedy: /spec.hosts/,
  },
  {
    name: 'no name at all',
    spec: named('a_b!'),
    at: 'spec.tls[0].match[0].sniHosts[0]',
    says: /no name that a client/,
    remedy: /such as/,
  },
  { name: 'nowhere to go', spec: tcp('match: [{ port: 80 }]'), at: 'spec.tcp[0]', says: /says not where/, remedy: /write route/ },
  {
    name: 'weights that come to nothing',
    spec: tcp('route: [{ destination: { host: a } }, { destination: { host: b } }]'),
    at: 'spec.tcp[0].route',
    says: /come to 0/,
    remedy: /weight for each/,
  },
  {
    name: 'no block',
    spec: tcp(`match: [{ destinationSubnets: [10.0.0] }], ${TO}`),
    at: 'spec.tcp[0].match[0].destinationSubnets[0]',
    says: /no block/,
    remedy: /10\.0\.0\.0\/8/,
  },
  {
    name: 'no port',
    spec: tcp(`match: [{ port: 70000 }], ${TO}`),
    at: 'spec.tcp[0].match[0].port',
    says: /not a port/,
    remedy: /65535/,
  },
  {
    name: 'labels of clients',
    severity: 'warning',
    spec: tcp(`match: [{ sourceLabels: { a: b } }], ${TO}`),
    at: 'spec.tcp[0].match[0].sourceLabels',
    says: /never matches/,
    remedy: /sourceNamespace/,
  },
  {
    name: 'addresses of clients',
    severity: 'warning',
    spec: tcp(`match: [{ sourceSubnet: 10.0.0.0/8 }], ${TO}`),
    at: 'spec.tcp[0].match[0].sourceSubnet',
    says: /never matches/,
    remedy: /sourceNamespace/,
  },
];
testMistakes('VirtualService', mistakes);
testAccepted('VirtualService', {
  'a name of a host': named('db.example.com'),
  'a longer name of a short host': named('cart.shop.svc.cluster.local'),
  'a name below a wildcard': `{ hosts: ["*.example.com"], tls: [{ match: [{ sniHosts: ["a.example.com", "*.b.example.com"] }], ${TO} }] }`,
  'all of tcp': tcp(
    `match: [{ port: 80, destinationSubnets: [10.0.0.0/8, "fd00::1"], gateways: [mesh], sourceNamespace: web }], ${TO}`,
  ),
});

const service = (name: string, namespace = 'shop') =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: ${namespace}, labels: { istio.io/use-waypoint: way } }, spec: { selector: { app: ${name} }, ports: [{ name: tls, port: 443 }] } }`;
const SHOP = [
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: way, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }',
  service('cart'),
  service('v1'),
  '{ apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: { name: d, namespace: shop }, spec: { host: cart, trafficPolicy: { connectionPool: { tcp: { maxConnections: 5 } } }, subsets: [{ name: old, labels: { v: "1" } }] } }',
  '{ apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: { name: e, namespace: shop }, spec: { host: v1, trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } } } }',
];

function virtual(spec: string, name = 'v', created = '2026-01-01'): string {
  return `{ apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: { name: ${name}, namespace: shop, creationTimestamp: "${created}T00:00:00Z" }, spec: { hosts: [cart], ${spec} } }`;
}

const meshWith = (...documents: string[]) => new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));

function servedBy(mesh: YamlMesh): WaypointService {
  const served = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  return served.find(({ key }) => key.startsWith('shop/cart')) ?? assert.fail('cart is not served');
}

const BOTH = `tcp: [{ match: [{ port: 443, sourceNamespace: web }], ${TO} }, { route: [{ destination: { host: cart, subset: old }, weight: 9 }, { destination: { host: v9 }, weight: 1 }] }], tls: [{ match: [{ sniHosts: [cart, CART.shop] }], ${TO} }]`;

test('config-api 4.4: tls goes before tcp, in the order that is written, with subsets and settings of destinations', () => {
  const mesh = meshWith(virtual(BOTH));
  const any = { ports: null, serverNames: null, subnets: null, clientNamespace: null };
  const v1 = { service: 'shop/v1.shop.svc.cluster.local', port: 443, weight: 1 };
  const { key, connections, subsets, destinations, routes } = servedBy(mesh);
  assert.deepEqual(connections, [
    { matches: [{ ...any, serverNames: ['cart', 'cart.shop'] }], backends: [v1] },
    { matches: [{ ...any, ports: [443], clientNamespace: 'web' }], backends: [v1] },
    {
      matches: [],
      backends: [
        { service: key, port: 443, subset: 'old', weight: 9 },
        { service: null, port: 0, weight: 1 },
      ],
    },
  ]);
  assert.deepEqual(subsets, [{ service: key, name: 'old', endpoints: [] }]);
  assert.deepEqual(
    destinations?.filter(({ subset }) => subset === null).map(({ circuitBreaker }) => circuitBreaker?.maxConnections),
    [5, 7],
  );
  assert.deepEqual(routes, [], 'its requests, if there are any, go on as without it');
  assert.match(
    mesh.problems('VirtualService shop/v').join(),
    /host v9 is no service.*10 % of the connections that match are refused/,
  );
});

test('config-api 4.4: an entry that can never hold takes nobody, and is told of', () => {
  const entries = `{ match: [{ gateways: [ingress] }], ${TO} }, { match: [{ port: 81 }], ${TO} }`;
  const mesh = meshWith(virtual(`tcp: [${entries}]`));
  assert.deepEqual(
    servedBy(mesh).connections?.map(({ matches }) => matches.map(({ ports }) => ports)),
    [[[81]]],
  );
  assert.match(mesh.problems('VirtualService shop/v').join(), /has no port 81/);
});

const ROUTE = (kind: string, more = '') =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: ${kind}, metadata: { name: r, namespace: shop }, spec: { ${more} parentRefs: [{ group: "", kind: Service, name: cart }], rules: [{ backendRefs: [{ name: v1, port: 443 }] }] } }`;

for (const [kind, more] of [
  ['TCPRoute', ''],
  ['TLSRoute', 'hostnames: [a.example],'],
] as const) {
  test(`config-api 4.4: a ${kind} goes before the connections of a VirtualService, which is told so`, () => {
    const mesh = meshWith(virtual(`tcp: [{ ${TO} }]`), ROUTE(kind, more));
    assert.equal(servedBy(mesh).connections?.some(({ matches }) => matches.length === 0) ?? false, false);
    assert.match(
      mesh.problems('VirtualService shop/v').join(),
      /of the Gateway API go before it at cart.*shop\/r is attached there/,
    );
  });
}

test('config-api 4.4: of two VirtualServices the older routes connections, whoever routes requests', () => {
  const mesh = meshWith(
    virtual(`tcp: [{ ${TO} }]`),
    virtual(`http: [{ ${TO} }]`, 'old', '2025-01-01'),
    virtual(`tcp: [{ ${TO} }]`, 'new', '2026-02-01'),
  );
  const told = ['v', 'old', 'new'].map((name) => mesh.problems(`VirtualService shop/${name}`).join());
  assert.deepEqual([told[0], told[1]], ['', '']);
  assert.match(String(told[2]), /VirtualService shop\/v is older and routes connections to cart/);
});
