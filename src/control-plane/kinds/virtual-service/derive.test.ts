import assert from 'node:assert/strict';
import test from 'node:test';
import { parser } from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { HttpRouteRule, WaypointService } from '#model/waypoint/config.ts';

const GATEWAY = (namespace: string) =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: way, namespace: ${namespace} }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE, allowedRoutes: { namespaces: { from: All } } }] } }`;
const service = (name: string, namespace = 'shop', labels = 'istio.io/use-waypoint: way', ports = '[{ name: http, port: 80 }]') =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: ${namespace}, labels: { ${labels} } }, spec: { selector: { app: ${name} }, ports: ${ports} } }`;
const TWO_PORTS = '[{ name: http, port: 80 }, { name: admin, port: 81 }]';
const SHOP = [
  ...[GATEWAY('shop'), GATEWAY('infra'), service('cart'), service('ratings'), service('two', 'shop', '', TWO_PORTS)],
  ...[service('far', 'far', 'istio.io/use-waypoint: way, istio.io/use-waypoint-namespace: infra'), service('bare', 'shop', '')],
  '{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: db, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { hosts: [db.example.com], ports: [{ name: http, number: 80, protocol: HTTP }], resolution: STATIC, endpoints: [{ address: 10.9.0.1, labels: { v: "1" } }, { address: 10.9.0.2, labels: { v: "2" } }] } }',
];

type Written = { name?: string; namespace?: string; hosts?: string; http?: string; more?: string; created?: string };

function virtual({
  name = 'v',
  namespace = 'shop',
  hosts = '[cart]',
  http = TO_CART,
  more = '',
  created = '2026-01-01',
}: Written = {}) {
  const metadata = `{ name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}T00:00:00Z" }`;
  return `{ apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: ${metadata}, spec: { hosts: ${hosts}, http: [${http}] ${more} } }`;
}
const TO_CART = '{ route: [{ destination: { host: cart } }] }';

function rule(
  subsets: string,
  { name = 'd', namespace = 'shop', host = 'cart', more = '', created = '2026-01-01' } = {},
): string {
  const metadata = `{ name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}T00:00:00Z" }`;
  return `{ apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: ${metadata}, spec: { host: "${host}", subsets: [${subsets}] ${more} } }`;
}
const V1 = '{ name: v1, labels: { v: "1" } }';

function meshWith(...documents: string[]): YamlMesh {
  const mesh = new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));
  const pods = ['1', '2'].map((v) => ({ name: `cart-${v}`, addresses: [`10.1.0.${v}`], labels: { app: 'cart', v } }));
  mesh.register('alpha', ...pods);
  return mesh;
}

function servedBy(mesh: YamlMesh, key = 'shop/cart.shop.svc.cluster.local', gateway = 'shop/way'): WaypointService | null {
  return (
    mesh.index
      .snapshot()
      .waypoints.get(gateway)
      ?.services.find((one) => one.key === key) ?? null
  );
}

function rulesOf(mesh: YamlMesh, key?: string, gateway?: string): readonly HttpRouteRule[] {
  return servedBy(mesh, key, gateway)?.routes.flatMap(({ inOrder, rules }) => (inOrder ? rules : [])) ?? [];
}

const told = (mesh: YamlMesh, name = 'VirtualService shop/v') => mesh.problems(name).join('; ');

const attachments: { name: string; written: Written; served?: boolean; key?: string; gateway?: string; says?: RegExp }[] = [
  { name: 'a Service by its short name', written: {} },
  { name: 'a Service by its whole name', written: { hosts: '[Cart.shop.svc.cluster.local]' } },
  { name: 'the host of a ServiceEntry', written: { hosts: '[db.example.com]' }, key: 'shop/db.example.com' },
  {
    name: "a service from its waypoint's namespace",
    written: { namespace: 'infra', hosts: '[far.far.svc.cluster.local]', http: '{ redirect: { uri: / } }' },
    key: 'far/far.far.svc.cluster.local',
    gateway: 'infra/way',
  },
  {
    name: 'no service from a third namespace',
    written: { namespace: 'web', hosts: '[cart.shop.svc.cluster.local]' },
    served: false,
    says: /of namespace web routes nothing of Service shop\/cart/,
  },
  {
    name: 'no service without a waypoint',
    written: { hosts: '[bare]' },
    served: false,
    says: /Service shop\/bare has no waypoint/,
  },
  {
    name: 'no service that is not there',
    written: { hosts: '[carts]' },
    served: false,
    says: /UNRESOLVED host carts.shop.svc|UNRESOLVED host carts/,
  },
  { name: 'no wildcard', written: { hosts: '["*.shop.svc.cluster.local"]' }, served: false, says: /stands for many hosts/ },
  {
    name: 'nothing for other gateways',
    written: { more: ', gateways: [ingress]' },
    served: false,
    says: /for ingress: waypoints route/,
  },
  { name: 'what is for mesh beside others', written: { more: ', gateways: [ingress, mesh]' } },
  { name: 'what is exported to its own namespace', written: { more: ', exportTo: ["."]' } },
  {
    name: 'nothing that is exported elsewhere',
    written: { more: ', exportTo: [web]' },
    served: false,
    says: /not exported to namespace shop/,
  },
];
for (const { name, written, served = true, key, gateway, says } of attachments)
  test(`config-api 4.4: a VirtualService routes ${name}`, () => {
    const mesh = meshWith(virtual(written));
    assert.equal(rulesOf(mesh, key, gateway).length > 0, served);
    const problems = told(mesh, `VirtualService ${written.namespace ?? 'shop'}/v`);
    if (says === undefined) assert.equal(problems, '');
    else assert.match(problems, says);
  });

const destinations: { name: string; to: string; want: object; says?: RegExp }[] = [
  {
    name: 'the only port of a service',
    to: '{ host: ratings }',
    want: { service: 'shop/ratings.shop.svc.cluster.local', port: 80 },
  },
  {
    name: 'a port by number',
    to: '{ host: two, port: { number: 81 } }',
    want: { service: 'shop/two.shop.svc.cluster.local', port: 81 },
  },
  {
    name: 'a service of another namespace',
    to: '{ host: far.far.svc.cluster.local }',
    want: { service: 'far/far.far.svc.cluster.local', port: 80 },
  },
  { name: 'a ServiceEntry', to: '{ host: db.example.com }', want: { service: 'shop/db.example.com', port: 80 } },
  {
    name: 'none of several ports',
    to: '{ host: two }',
    want: { service: null, port: 0 },
    says: /has not one port \(ports: 80, 81\); 100 % .* 503/,
  },
  {
    name: 'a port that is not there',
    to: '{ host: cart, port: { number: 8080 } }',
    want: { service: null, port: 8080 },
    says: /no port 8080/,
  },
  {
    name: 'a host that is not there',
    to: '{ host: reviews }',
    want: { service: null, port: 0 },
    says: /host reviews is no service/,
  },
  {
    name: 'a name with a dot, which is whole',
    to: '{ host: cart.shop }',
    want: { service: null, port: 0 },
    says: /host cart.shop is no/,
  },
  {
    name: 'a subset',
    to: '{ host: cart, subset: v1 }',
    want: { service: 'shop/cart.shop.svc.cluster.local', port: 80, subset: 'v1' },
  },
  {
    name: 'a subset that nobody described',
    to: '{ host: cart, subset: v11 }',
    want: { service: null, port: 0 },
    says: /no DestinationRule that holds at the waypoint has a subset v11 of cart.shop/,
  },
];
for (const { name, to, want, says } of destinations)
  test(`config-api 4.4: a destination: ${name}`, () => {
    const mesh = meshWith(virtual({ http: `{ route: [{ destination: ${to} }] }` }), rule(V1));
    assert.deepEqual(rulesOf(mesh)[0]?.backends, [{ ...want, weight: 1 }]);
    if (says === undefined) assert.equal(told(mesh), '');
    else assert.match(told(mesh), says);
  });

test('config-api 4.4: each entry of a match is a rule, and a rewrite replaces what that entry compared', () => {
  const match = '[{ uri: { prefix: /a } }, { name: second, uri: { exact: /b } }, { method: { exact: GET } }]';
  const http = `{ name: r, match: ${match}, rewrite: { uri: /x, authority: y }, route: [{ destination: { host: cart } }] }`;
  assert.deepEqual(
    rulesOf(meshWith(virtual({ http }))).map(({ name, rewrite }) => [name, rewrite]),
    [
      ['r', { hostname: 'y', path: { kind: 'text', from: '/a', value: '/x' } }],
      ['r.second', { hostname: 'y', path: { kind: 'full', value: '/x' } }],
      ['r', { hostname: 'y', path: { kind: 'text', from: '/', value: '/x' } }],
    ],
  );
});

test('config-api 4.4: what cannot be done is told, and answered 500 rather than done by half', () => {
  const http =
    '{ rewrite: { uriRegexRewrite: { match: a, rewrite: b } }, route: [{ destination: { host: cart } }] }, { delegate: { name: d } }';
  const mesh = meshWith(virtual({ http }));
  assert.deepEqual(
    rulesOf(mesh).map(({ backends }) => backends),
    [[], []],
  );
  assert.match(
    told(mesh),
    /rewrite.uriRegexRewrite is not supported.*VirtualService shop\/d is not there; requests that match are answered 500/,
  );
});

/** Hosts of a delegate are none. */
const delegate = (http: string, { name = 'd', namespace = 'shop', more = '' } = {}) =>
  virtual({ name, namespace, hosts: '[]', http, more });
const DELEGATING = virtual({ http: '{ match: [{ uri: { prefix: /a } }], delegate: { name: d, namespace: team } }' });

test('config-api 4.4: the rules of a delegate stand where the root leads there, with destinations of its own namespace', () => {
  const near = service('cart', 'team', '');
  const rules =
    '{ name: x, match: [{ method: { exact: GET } }], route: [{ destination: { host: cart } }] }, { redirect: { uri: /z } }';
  const mesh = meshWith(near, DELEGATING, delegate(rules, { namespace: 'team' }));
  assert.deepEqual(
    rulesOf(mesh).map(({ name, virtual: match, backends, redirect }) => [name, match?.uri, backends[0]?.service, redirect?.path]),
    [
      ['x', { type: 'prefix', value: '/a' }, 'team/cart.team.svc.cluster.local', undefined],
      ['0-1', { type: 'prefix', value: '/a' }, undefined, { kind: 'full', value: '/z' }],
    ],
  );
  assert.deepEqual([told(mesh), told(mesh, 'VirtualService team/d')], ['', '']);
  mesh.remove('VirtualService team/d');
  assert.deepEqual(
    rulesOf(mesh).map(({ backends, redirect }) => [backends, redirect]),
    [[[], undefined]],
    'a delegate that leaves takes its requests with it, and lets none through',
  );
});

const undelegated: { name: string; written: string; says: RegExp }[] = [
  { name: 'has hosts', written: virtual({ name: 'd', namespace: 'team' }), says: /team\/d has hosts, so it is no delegate/ },
  {
    name: 'is not exported there',
    written: delegate(TO_CART, { namespace: 'team', more: ', exportTo: ["."]' }),
    says: /not exported to namespace shop/,
  },
  {
    name: 'has no rule that fits',
    written: delegate('{ match: [{ uri: { prefix: /b } }], redirect: { uri: / } }', { namespace: 'team' }),
    says: /http\[0\] of VirtualService team\/d is left out/,
  },
  {
    name: 'leads nowhere',
    written: delegate('{ route: [{ destination: { host: nobody } }] }', { namespace: 'team' }),
    says: /in VirtualService team\/d: host nobody is no service of the mesh/,
  },
];
for (const { name, written, says } of undelegated) {
  test(`config-api 4.4: a delegate that ${name} is told of where it is named`, () => {
    const mesh = meshWith(DELEGATING, written);
    assert.match(told(mesh), says);
    assert.ok(rulesOf(mesh).every(({ backends }) => backends.every(({ service: to }) => to === null)));
  });
}

test('config-api 4.4: a delegate that nobody names is told so', () => {
  assert.match(told(meshWith(delegate(TO_CART)), 'VirtualService shop/d'), /no VirtualService delegates to it/);
});

const ROUTE = (namespace: string) =>
  `{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: r, namespace: ${namespace} }, spec: { parentRefs: [{ group: "", kind: Service, name: cart, namespace: shop }], rules: [{ backendRefs: [{ name: cart, namespace: shop, port: 80 }] }] } }`;

test('config-api 4.4: a route of the Gateway API goes before, unless it is a consumer’s', () => {
  const producer = meshWith(virtual(), ROUTE('shop'));
  assert.deepEqual([rulesOf(producer).length, servedBy(producer)?.routes.length], [0, 1]);
  assert.match(
    told(producer),
    /routes of the Gateway API go before it at cart.shop.svc.cluster.local: shop\/r is attached there/,
  );
  const consumer = meshWith(virtual(), ROUTE('web'));
  assert.deepEqual([rulesOf(consumer).length, told(consumer)], [1, '']);
  producer.remove('HTTPRoute shop/r');
  assert.deepEqual([rulesOf(producer).length, told(producer)], [1, '']);
});

test('config-api 4.4: of two for one host the oldest is heard, and they are not merged', () => {
  const mesh = meshWith(
    virtual({ created: '2026-02-01' }),
    virtual({ name: 'old', http: '{ name: old, redirect: { uri: / } }' }),
  );
  assert.deepEqual(
    rulesOf(mesh).map(({ name }) => name),
    ['old'],
  );
  assert.match(told(mesh), /VirtualService shop\/old is older and routes cart/);
  assert.equal(told(mesh, 'VirtualService shop/old'), '');
});

const TO_V1 = virtual({ http: '{ route: [{ destination: { host: cart, subset: v1 } }] }' });

test('config-api 4.3: a subset is the endpoints of its service that have its labels, and follows them', () => {
  const mesh = meshWith(TO_V1, rule(V1));
  const uidOf = (name: string) => mesh.workload(name)?.uid;
  assert.deepEqual(servedBy(mesh)?.subsets, [
    { service: 'shop/cart.shop.svc.cluster.local', name: 'v1', endpoints: [uidOf('cart-1')] },
  ]);
  mesh.register('beta', { node: 'beta', name: 'cart-3', addresses: ['10.1.0.3'], labels: { app: 'cart', v: '1' } });
  assert.deepEqual(servedBy(mesh)?.subsets?.[0]?.endpoints, [uidOf('cart-1'), uidOf('cart-3')].sort());
  mesh.register('beta', { node: 'beta', name: 'other', addresses: ['10.1.0.4'], labels: { app: 'ratings', v: '1' } });
  assert.deepEqual(servedBy(mesh)?.subsets?.[0]?.endpoints, [uidOf('cart-1')]);
});

test('config-api 4.3: a subset never reaches beyond what its service selects', () => {
  const mesh = meshWith(TO_V1, rule('{ name: v1, labels: { app: ratings } }'));
  mesh.register('beta', { node: 'beta', name: 'other', addresses: ['10.1.0.4'], labels: { app: 'ratings' } });
  assert.deepEqual(servedBy(mesh)?.subsets?.[0]?.endpoints, []);
});

test('config-api 4.3: endpoints that are written in a ServiceEntry have labels, too', () => {
  const http = '{ route: [{ destination: { host: db.example.com, subset: v1 } }] }';
  const mesh = meshWith(virtual({ hosts: '[db.example.com]', http }), rule(V1, { host: 'db.example.com' }));
  const [subset] = servedBy(mesh, 'shop/db.example.com')?.subsets ?? [];
  assert.deepEqual(
    subset?.endpoints.map((uid) => uid.slice(uid.lastIndexOf('/') + 1)),
    ['10.9.0.1'],
  );
});

/** Labels of the subset v1 as the waypoint of cart finds it: whether some rule says it, and which. */
const lookups: { name: string; rules: string[]; want: string | null }[] = [
  {
    name: 'exact before a wildcard',
    rules: [rule(V1), rule('{ name: v1, labels: { v: "2" } }', { name: 'w', host: '*.cluster.local' })],
    want: '1',
  },
  {
    name: 'the longer wildcard',
    rules: [
      rule(V1, { host: '*.shop.svc.cluster.local' }),
      rule('{ name: v1, labels: { v: "2" } }', { name: 'w', host: '*.local' }),
    ],
    want: '1',
  },
  { name: 'a wildcard alone', rules: [rule(V1, { host: '*' })], want: '1' },
  {
    name: 'of one host the oldest',
    rules: [rule('{ name: v1, labels: { v: "2" } }', { created: '2026-02-01' }), rule(V1, { name: 'old' })],
    want: '1',
  },
  {
    name: 'subsets of several rules of one host together',
    rules: [rule('{ name: v2, labels: { v: "2" } }'), rule(V1, { name: 'e', host: 'cart.shop.svc.cluster.local' })],
    want: '1',
  },
  {
    name: 'the root namespace',
    rules: [rule(V1, { namespace: 'istio-system', host: 'cart.shop.svc.cluster.local' })],
    want: '1',
  },
  {
    name: 'the service before the root',
    rules: [
      rule('{ name: v1, labels: { v: "2" } }', { namespace: 'istio-system', host: 'cart.shop.svc.cluster.local' }),
      rule(V1),
    ],
    want: '1',
  },
  { name: 'no namespace of clients', rules: [rule(V1, { namespace: 'web', host: 'cart.shop.svc.cluster.local' })], want: null },
  { name: 'no short name of another namespace', rules: [rule(V1, { namespace: 'istio-system' })], want: null },
  { name: 'nothing that is exported elsewhere', rules: [rule(V1, { more: ', exportTo: [web]' })], want: null },
  {
    name: 'nothing for some workloads only',
    rules: [rule(V1, { more: ', workloadSelector: { matchLabels: { a: b } }' })],
    want: null,
  },
];
for (const { name, rules, want } of lookups)
  test(`config-api 4.3: a waypoint asks ${name}`, () => {
    const mesh = meshWith(TO_V1, ...rules);
    const uids = servedBy(mesh)?.subsets?.[0]?.endpoints ?? null;
    assert.deepEqual(uids, want === null ? null : [mesh.workload(`cart-${want}`)?.uid]);
  });

const ofRules: { name: string; documents: string[]; about?: string; says: RegExp | null }[] = [
  { name: 'nothing of one that is used', documents: [rule(V1)], says: null },
  { name: 'a host that is not there', documents: [rule(V1, { host: 'carts' })], says: /UNRESOLVED host carts is no service/ },
  {
    name: 'a subset without endpoints',
    documents: [rule('{ name: v9, labels: { v: "9" } }')],
    says: /MATCHES_NOTHING no endpoint of Service shop\/cart has the labels of subset v9 \(v=9\)/,
  },
  {
    name: 'a rule in a namespace of clients',
    documents: [rule(V1, { namespace: 'web', host: 'cart.shop.svc.cluster.local' })],
    about: 'DestinationRule web/d',
    says: /not what the waypoint shop\/way of Service shop\/cart asks/,
  },
  {
    name: 'a name that an older rule has',
    documents: [rule(V1, { created: '2026-02-01' }), rule(V1, { name: 'old' })],
    says: /DestinationRule shop\/old is older and says what subset v1 is/,
  },
  {
    name: 'one that is hidden by a more specific host',
    documents: [rule(V1, { host: 'cart' }), rule(V1, { name: 'w', host: '*.svc.cluster.local' })],
    says: null,
  },
];
for (const { name, documents, about = 'DestinationRule shop/d', says } of ofRules)
  test(`config-api 4.3: of a DestinationRule is told: ${name}`, () => {
    const problems = meshWith(...documents)
      .problems(about)
      .join('; ');
    if (says === null) assert.equal(problems, '');
    else assert.match(problems, says);
  });
