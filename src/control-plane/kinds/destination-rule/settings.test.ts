import assert from 'node:assert/strict';
import test from 'node:test';
import { parser } from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { readResourceFile } from '#control-plane/sources/directory/resource-file.ts';
import type { Balancer, DestinationSettings } from '#model/waypoint/destination-settings.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';

const CART = 'shop/cart.shop.svc.cluster.local';

const SHOP = [
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: way, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }',
  ...['cart', 'other'].map(
    (name) =>
      `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }, { name: admin, port: 81 }] } }`,
  ),
];

function rule(
  policy: string,
  { name = 'd', namespace = 'shop', host = 'cart', subsets = '', created = '2026-01-01' } = {},
): string {
  const metadata = `{ name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}T00:00:00Z" }`;
  const trafficPolicy = policy === '' ? '' : `, trafficPolicy: { ${policy} }`;
  return `{ apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: ${metadata}, spec: { host: "${host}"${trafficPolicy}, subsets: [${subsets}] } }`;
}

const subset = (name: string, policy: string) => `{ name: ${name}, labels: { v: ${name} }, trafficPolicy: { ${policy} } }`;

function traffic(blocks: string, section: string | null = null, name = 't'): string {
  const target = `kind: Service, name: cart${section === null ? '' : `, sectionName: ${section}`}`;
  return `{ apiVersion: weft.dev/v1alpha1, kind: TrafficPolicy, metadata: { name: ${name}, namespace: shop }, spec: { targetRefs: [{ ${target} }], ${blocks} } }`;
}

const requests = (count: number) => `connectionPool: { http: { http2MaxRequests: ${count} } }`;
const ejects = (count: number) => `outlierDetection: { consecutive5xxErrors: ${count} }`;
const retries = (percent: number) => `retryBudget: { percent: ${percent} }`;

/** `port/subset: requests that may be under way, failures that eject, percent of retries`. */
function said(documents: string[], served = CART): string[] {
  const mesh = new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));
  const services = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  const short = ({ circuitBreaker, outlierDetection, retryBudget }: DestinationSettings) =>
    [circuitBreaker?.maxRequests, outlierDetection?.consecutive5xx, retryBudget?.percent].map((part) => part ?? '-').join(' ');
  const destinations = services.find(({ key }) => key === served)?.destinations ?? [];
  return destinations.map(
    (one) =>
      `${one.service === CART ? '' : `${one.service} `}${one.port ?? '*'}${one.subset === null ? '' : `/${one.subset}`}: ${short(one)}`,
  );
}

const rows: { name: string; documents: string[]; want: string[] }[] = [
  { name: 'nothing', documents: [], want: [] },
  { name: 'subsets alone', documents: [rule('', { subsets: '{ name: v1, labels: { v: v1 } }' })], want: [] },
  { name: 'the whole destination', documents: [rule(`${requests(1)}, ${ejects(2)}, ${retries(3)}`)], want: ['*: 1 2 3'] },
  {
    name: 'a port, which has nothing of the level above but its budget',
    documents: [rule(`${requests(1)}, ${ejects(2)}, ${retries(3)}, portLevelSettings: [{ port: { number: 80 }, ${ejects(4)} }]`)],
    want: ['*: 1 2 3', '80: - 4 3'],
  },
  {
    name: 'a port of which nothing is said',
    documents: [rule(`${requests(1)}, portLevelSettings: [{ port: { number: 80 } }]`)],
    want: ['*: 1 - -', '80: - - -'],
  },
  {
    name: 'a subset, block by block',
    documents: [rule(`${requests(1)}, ${ejects(2)}`, { subsets: subset('v1', ejects(9)) })],
    want: ['*: 1 2 -', '*/v1: 1 9 -'],
  },
  {
    name: 'a port of a subset, and a subset of a port',
    documents: [
      rule(`${requests(1)}, ${ejects(2)}, portLevelSettings: [{ port: { number: 80 }, ${requests(5)} }]`, {
        subsets: subset('v1', `${ejects(9)}, portLevelSettings: [{ port: { number: 81 }, ${requests(6)} }]`),
      }),
    ],
    want: ['*: 1 2 -', '80: 5 - -', '81: 1 2 -', '*/v1: 1 9 -', '80/v1: 5 9 -', '81/v1: 6 - -'],
  },
  {
    name: 'of two rules about one host the older that says something, and the subsets of both',
    documents: [
      rule(requests(1), { name: 'young', created: '2026-02-01', subsets: subset('v2', ejects(2)) }),
      rule(requests(9), { name: 'old', subsets: subset('v1', ejects(1)) }),
    ],
    want: ['*: 9 - -', '*/v1: 9 1 -', '*/v2: 9 2 -'],
  },
  {
    name: 'of a namespace of clients nothing',
    documents: [rule(requests(1), { namespace: 'web', host: 'cart.shop.svc.cluster.local' })],
    want: [],
  },
  {
    name: 'the root namespace, where nobody else says anything',
    documents: [rule(requests(1), { namespace: 'istio-system', host: '*.svc.cluster.local' })],
    want: ['*: 1 - -'],
  },
  {
    name: 'a TrafficPolicy goes before, block by block',
    documents: [rule(`${requests(1)}, ${ejects(2)}`), traffic('circuitBreaker: { maxRequests: 7 }, retryBudget: { percent: 5 }')],
    want: ['*: 7 2 5'],
  },
  {
    name: 'a TrafficPolicy of a port goes before that of the whole service',
    documents: [traffic('circuitBreaker: { maxRequests: 7 }'), traffic('circuitBreaker: { maxRequests: 8 }', 'admin', 'u')],
    want: ['*: 7 - -', '81: 8 - -'],
  },
];
for (const { name, documents, want } of rows)
  test(`config-api 4.3: how a destination is treated: ${name}`, () => assert.deepEqual(said(documents), want));

test('config-api 4.3: limits, times and detection of a rule, with what is not written', () => {
  const mesh = new YamlMesh(
    parser,
    [
      ...SHOP,
      rule(
        'connectionPool: { tcp: { maxConnections: 1, connectTimeout: 1.5s, idleTimeout: 0s, maxConnectionDuration: 1h }, http: { http1MaxPendingRequests: 2, http2MaxRequests: 0, maxRequestsPerConnection: 4, maxRetries: 5, idleTimeout: 1m } }, outlierDetection: { splitExternalLocalOriginErrors: true, consecutiveGatewayErrors: 3, baseEjectionTime: 10m, maxEjectionPercent: 0 }, retryBudget: {}',
      ),
    ].join('\n---\n'),
  );
  const [settings] =
    mesh.index
      .snapshot()
      .waypoints.get('shop/way')
      ?.services.find(({ key }) => key === CART)?.destinations ?? [];
  assert.deepEqual(settings, {
    service: CART,
    port: null,
    subset: null,
    circuitBreaker: { maxConnections: 1, maxPendingRequests: 2, maxRequests: null, maxRetries: 5, maxRequestsPerConnection: 4 },
    connection: { connectTimeoutMs: 1_500, idleTimeoutMs: 60_000, tcpIdleTimeoutMs: null, maxConnectionMs: 3_600_000 },
    outlierDetection: {
      consecutive5xx: 5,
      consecutiveGatewayErrors: 3,
      consecutiveLocalFailures: 5,
      intervalMs: 10_000,
      baseEjectionMs: 600_000,
      maxEjectionMs: 600_000,
      maxEjectionPercent: 10,
      minHealthPercent: 0,
    },
    retryBudget: { percent: 20, of: { kind: 'active', minConcurrency: 3 } },
    locality: { kind: 'nearest' },
  });
});

const balancers: { written: string; want: Balancer }[] = [
  { written: '{}', want: { kind: 'least-request', warmup: null } },
  { written: '{ simple: LEAST_CONN }', want: { kind: 'least-request', warmup: null } },
  { written: '{ simple: RANDOM }', want: { kind: 'random' } },
  {
    written: '{ simple: ROUND_ROBIN, warmup: { duration: 1m30s, minimumPercent: 0, aggression: 1.5 } }',
    want: { kind: 'round-robin', warmup: { durationMs: 90_000, minPercent: 0, aggression: 1.5 } },
  },
  {
    written: '{ warmupDurationSecs: 1m }',
    want: { kind: 'least-request', warmup: { durationMs: 60_000, minPercent: 10, aggression: 1 } },
  },
  {
    written: '{ consistentHash: { httpHeaderName: X-User } }',
    want: { kind: 'hash', key: { kind: 'header', name: 'x-user' }, table: { kind: 'ring', size: 1_024 } },
  },
  {
    written: '{ consistentHash: { httpQueryParameterName: User, maglev: {} } }',
    want: { kind: 'hash', key: { kind: 'query', name: 'User' }, table: { kind: 'maglev', size: 65_537 } },
  },
  {
    written: '{ consistentHash: { useSourceIp: true, maglev: { tableSize: 7 } } }',
    want: { kind: 'hash', key: { kind: 'address' }, table: { kind: 'maglev', size: 7 } },
  },
  {
    written:
      '{ consistentHash: { minimumRingSize: 9, httpCookie: { name: c, path: /a, ttl: 1.5s, attributes: [{ name: SameSite, value: Lax }, { name: Secure }] } } }',
    want: {
      kind: 'hash',
      key: { kind: 'cookie', name: 'c', path: '/a', ttlS: 2, attributes: ['SameSite=Lax', 'Secure'] },
      table: { kind: 'ring', size: 9 },
    },
  },
  {
    written: '{ consistentHash: { httpCookie: { name: c }, ringHash: { minimumRingSize: 8 } } }',
    want: {
      kind: 'hash',
      key: { kind: 'cookie', name: 'c', path: null, ttlS: null, attributes: [] },
      table: { kind: 'ring', size: 8 },
    },
  },
];
for (const { written, want } of balancers)
  test(`config-api 4.3: endpoints are chosen by loadBalancer: ${written}`, () => {
    const mesh = new YamlMesh(parser, [...SHOP, rule(`loadBalancer: ${written}`)].join('\n---\n'));
    assert.deepEqual(mesh.problems('DestinationRule shop/d'), []);
    const [settings] =
      mesh.index
        .snapshot()
        .waypoints.get('shop/way')
        ?.services.find(({ key }) => key === CART)?.destinations ?? [];
    assert.deepEqual(settings, { service: CART, port: null, subset: null, balancer: want });
  });

test('config-api 4.3: what a route leads to is treated as is said there', () => {
  const route =
    '{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: r, namespace: shop }, spec: { parentRefs: [{ group: "", kind: Service, name: other }], rules: [{ backendRefs: [{ name: cart, port: 80 }] }] } }';
  assert.deepEqual(said([route, rule(requests(1))], 'shop/other.shop.svc.cluster.local'), ['*: 1 - -']);
  assert.deepEqual(said([rule(requests(1))], 'shop/other.shop.svc.cluster.local'), []);
});

test('config-api 6.3: a rule hears of the TrafficPolicy that goes before it, and a younger policy of the older one', () => {
  const blocks = 'circuitBreaker: { maxRequests: 7 }, outlierDetection: {}';
  const mesh = new YamlMesh(
    parser,
    [...SHOP, rule(`${requests(1)}, ${ejects(2)}`), traffic(blocks), traffic(blocks, null, 'u')].join('\n---\n'),
  );
  const ofRule = mesh.problems('DestinationRule shop/d').join('; ');
  assert.match(ofRule, /TrafficPolicy shop\/t says circuitBreaker of Service shop\/cart, and goes before it/);
  assert.match(ofRule, /says outlierDetection of/);
  assert.match(mesh.problems('TrafficPolicy shop/u').join('; '), /TrafficPolicy shop\/t already says circuitBreaker of Service/);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/u'), ['Accepted False Conflicted', 'Programmed False Conflicted']);
});

const locality = (setting: string) => `loadBalancer: { localityLbSetting: { ${setting} } }`;
const LISTS = {
  distribute: 'distribute: [{ from: a/*, to: { a/x: 80, b: 20 } }]',
  failover: 'failover: [{ from: a, to: b }]',
  priority: 'failoverPriority: [topology.istio.io/network, topology.kubernetes.io/zone=x, version, kubernetes.io/hostname]',
};
const DETECTS = 'outlierDetection: {}';

const localities: { name: string; documents: string[]; want: unknown }[] = [
  { name: 'nothing but detection', documents: [rule(DETECTS)], want: { kind: 'nearest' } },
  { name: 'W52 lists without detection', documents: [rule(locality(LISTS.failover))], want: null },
  { name: 'W52 labels without detection', documents: [rule(locality(LISTS.priority))], want: null },
  {
    name: 'shares, also without detection',
    documents: [rule(locality(LISTS.distribute))],
    want: {
      kind: 'distribute',
      shares: [
        {
          from: 'a/*',
          to: [
            { place: 'a/x', weight: 80 },
            { place: 'b', weight: 20 },
          ],
        },
      ],
    },
  },
  {
    name: 'regions',
    documents: [rule(`${locality(LISTS.failover)}, ${DETECTS}`)],
    want: { kind: 'failover', regions: [{ from: 'a', to: 'b' }] },
  },
  {
    name: 'labels, as far as they say where something runs',
    documents: [rule(`${locality(LISTS.priority)}, ${DETECTS}`)],
    want: {
      kind: 'priority',
      scopes: [
        { scope: 'network', value: null },
        { scope: 'zone', value: 'x' },
      ],
    },
  },
  { name: 'that it is off', documents: [rule(`${locality('enabled: false')}, ${DETECTS}`)], want: null },
  {
    name: 'detection by a TrafficPolicy, for what a rule asks',
    documents: [rule(locality(LISTS.failover)), traffic('outlierDetection: {}')],
    want: { kind: 'failover', regions: [{ from: 'a', to: 'b' }] },
  },
  { name: 'detection by a TrafficPolicy alone', documents: [traffic('outlierDetection: {}')], want: undefined },
];
for (const { name, documents, want } of localities)
  test(`W51 how a rule has endpoints preferred: ${name}`, () => {
    const mesh = new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));
    const services = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
    const [first] = services.find(({ key }) => key === CART)?.destinations ?? [];
    assert.deepEqual(first?.locality, want ?? undefined);
  });

test('config-api 4.3: a balancer of a subset hides the localities of the level above', () => {
  const subsets = `{ name: v1, labels: { v: v1 }, trafficPolicy: { loadBalancer: { simple: RANDOM } } }`;
  const mesh = new YamlMesh(parser, [...SHOP, rule(`${locality(LISTS.failover)}, ${DETECTS}`, { subsets })].join('\n---\n'));
  const services = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  const destinations = services.find(({ key }) => key === CART)?.destinations ?? [];
  assert.deepEqual(
    destinations.map((one) => `${one.subset} ${one.locality?.kind}`),
    ['null failover', 'v1 nearest'],
  );
});

test('config-api 4.2: SIMPLE is TLS to who is outside of the mesh; each level replaces it, and what cannot be done refuses', () => {
  const told = (documents: string[]): string[] => {
    const mesh = new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));
    const all = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
    const words = (tls: UpstreamTls | undefined): string => {
      if (tls === undefined) return '-';
      return tls.kind === 'refused' ? 'refused' : `${tls.serverName} ${tls.names.map(({ value }) => value)} ${tls.roots}`;
    };
    const destinations = all.flatMap(({ destinations: of = [] }) => of);
    return destinations.map(({ port, subset: of, tls }) => `${port ?? '*'}${of === null ? '' : `/${of}`}: ${words(tls)}`);
  };
  const host = 'cart.shop.svc.cluster.local';
  const simple = 'tls: { mode: SIMPLE }';
  assert.deepEqual(told([rule(simple)]), [`*: ${host} ${host} null`]);
  assert.deepEqual(told([rule('tls: { mode: SIMPLE, sni: a.com, subjectAltNames: [b.com, "spiffe://td/x"] }')]), [
    '*: a.com b.com,spiffe://td/x null',
  ]);
  assert.deepEqual(told([rule('tls: { mode: DISABLE }')]), []);
  assert.deepEqual(told([rule('tls: { mode: ISTIO_MUTUAL }')]), []);
  for (const more of ['insecureSkipVerify: true', 'credentialName: c', 'caCertificates: /ca', 'caCrl: /crl'])
    assert.deepEqual(told([rule(`tls: { mode: SIMPLE, ${more} }`)]), ['*: refused'], more);
  assert.deepEqual(told([rule('tls: { mode: MUTUAL }')]), ['*: refused']);
  const levels = `${simple}, portLevelSettings: [{ port: { number: 81 }, tls: { mode: DISABLE } }]`;
  assert.deepEqual(told([rule(levels, { subsets: subset('v1', 'tls: { mode: DISABLE }') })]), [
    `*: ${host} ${host} null`,
    '81: -',
    '*/v1: -',
    '81/v1: -',
  ]);
});

test('config-api 1.16: a BackendTLSPolicy goes before the tls of a DestinationRule', () => {
  const policy =
    '{ apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: { name: p, namespace: shop }, spec: { targetRefs: [{ group: "", kind: Service, name: cart, sectionName: admin }], validation: { hostname: a.com, wellKnownCACertificates: System } } }';
  const mesh = new YamlMesh(parser, [...SHOP, rule('tls: { mode: MUTUAL }'), policy].join('\n---\n'));
  const [service] = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  assert.deepEqual(
    service?.destinations?.map(({ port, tls }) => [port, tls?.kind]),
    [
      [null, 'refused'],
      [81, 'originate'],
    ],
  );
});

test('config-api 4.2: a rule that cannot be used stops what it wanted encrypted, and nothing that it did not', () => {
  const standIn = (policy: string) =>
    readResourceFile('a.yaml', rule(`${policy}, nonsense: 1`), parser).entries[0]?.standIns?.[0];
  assert.equal(standIn(requests(1)), undefined);
  for (const policy of ['tls: { mode: SIMPLE }', 'portLevelSettings: [{ port: { number: 80 }, tls: { mode: SIMPLE } }]']) {
    const found = standIn(policy);
    assert.match(String(found?.effect), /nothing is sent to cart/);
    assert.ok(found !== undefined);
    const mesh = new YamlMesh(parser, SHOP.join('\n---\n'));
    mesh.index.apply({ upserted: [found.resource] });
    const [service] = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
    assert.equal(service?.destinations?.[0]?.tls?.kind, 'refused');
  }
});
