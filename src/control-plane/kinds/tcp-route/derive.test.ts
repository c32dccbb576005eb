import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function service(name: string, spec: string, namespace = 'shop'): string {
  return `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: ${namespace} }, spec: { selector: { app: a }, ${spec} } }`;
}

const PORTS =
  'ports: [{ name: tcp-a, port: 80 }, { name: http, port: 81 }, { name: any, port: 82 }, { name: u, port: 83, protocol: UDP }]';
const SHOP = [
  service('cart', PORTS),
  service('v1', PORTS),
  service('v1', PORTS, 'far'),
  service('none', `clusterIP: None, ${PORTS}`),
];

type Written = { name?: string; namespace?: string; parent?: string; backends?: string; created?: string; kind?: string };

function route({
  name = 'r',
  namespace = 'shop',
  parent = 'name: cart',
  backends = '{ name: v1, port: 80 }',
  created = '2026-01-01',
  kind = 'TCPRoute',
}: Written = {}): string {
  const metadata = `{ name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}T00:00:00Z" }`;
  const spec = `{ parentRefs: [{ group: "", kind: Service, namespace: shop, ${parent} }], rules: [{ backendRefs: [${backends}] }] }`;
  return `{ apiVersion: gateway.networking.k8s.io/v1, kind: ${kind}, metadata: ${metadata}, spec: ${spec} }`;
}

function meshWith(...documents: string[]): YamlMesh {
  return new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));
}

/** `port → backends` of each route of `cart`; `@` the namespace it is for. */
function routesOf(mesh: YamlMesh): string[] {
  return (mesh.service('shop/cart')?.routes ?? []).map(({ port, clientNamespace, shares }) => {
    const backends = shares.map(({ service: key, port: at, weight }) => `${key?.split('.')[0] ?? 'none'}:${at}*${weight}`);
    return `${port}${clientNamespace === null ? '' : `@${clientNamespace}`} ${backends.join(' ')}`;
  });
}

const attachments: { name: string; written: Written; routes: string[]; accepted?: string }[] = [
  {
    name: 'without a port: every one that carries TCP and is not said to be HTTP',
    written: {},
    routes: ['80 shop/v1:80*1', '82 shop/v1:80*1'],
  },
  { name: 'by number', written: { parent: 'name: cart, port: 82' }, routes: ['82 shop/v1:80*1'] },
  { name: 'by name', written: { parent: 'name: cart, sectionName: tcp-a' }, routes: ['80 shop/v1:80*1'] },
  { name: 'not to HTTP', written: { parent: 'name: cart, port: 81' }, routes: [], accepted: 'Accepted False NoMatchingParent' },
  { name: 'not to UDP', written: { parent: 'name: cart, port: 83' }, routes: [], accepted: 'Accepted False NoMatchingParent' },
  {
    name: 'not to a headless service',
    written: { parent: 'name: none' },
    routes: [],
    accepted: 'Accepted False NoMatchingParent',
  },
  {
    name: 'of a consumer',
    written: { namespace: 'web', parent: 'name: cart, port: 80', backends: '{ name: v1, namespace: shop, port: 80 }' },
    routes: ['80@web shop/v1:80*1'],
  },
];
for (const { name, written, routes, accepted = 'Accepted True Accepted' } of attachments) {
  test(`config-api 1.14: a TCPRoute attaches ${name}`, () => {
    const mesh = meshWith(route(written));
    assert.deepEqual(routesOf(mesh), routes);
    assert.equal(mesh.conditions(`TCPRoute ${written.namespace ?? 'shop'}/r`)[0], accepted);
  });
}

test('config-api 1.14: of two routes the oldest serves, and both are accepted', () => {
  const mesh = meshWith(route({ name: 'a', backends: '{ name: cart, port: 80 }', created: '2026-02-01' }), route({ name: 'b' }));
  assert.deepEqual(routesOf(mesh), ['80 shop/v1:80*1', '82 shop/v1:80*1']);
  assert.deepEqual(
    ['a', 'b'].map((name) => mesh.conditions(`TCPRoute shop/${name}`)[0]),
    Array(2).fill('Accepted True Accepted'),
  );
  mesh.remove('TCPRoute shop/b');
  assert.deepEqual(routesOf(mesh), ['80 shop/cart:80*1', '82 shop/cart:80*1']);
});

test('config-api 1.12: an HTTPRoute at the same port goes before, and the port then stays free of this', () => {
  const http = route({ kind: 'HTTPRoute', parent: 'name: cart, port: 80' });
  assert.deepEqual(routesOf(meshWith(http, route())), ['82 shop/v1:80*1']);
  const mesh = meshWith(http, route({ parent: 'name: cart, port: 80' }));
  assert.deepEqual([routesOf(mesh), mesh.conditions('TCPRoute shop/r')[0]], [[], 'Accepted False Conflicted']);
});

test('a port that has such a route carries no HTTP to look at', () => {
  const protocolOf = (mesh: YamlMesh) =>
    mesh.service('shop/cart')?.ports.find(({ servicePort }) => servicePort === 82)?.appProtocol;
  assert.deepEqual([protocolOf(meshWith()), protocolOf(meshWith(route()))], ['unknown', 'tcp']);
});

const backends: { name: string; backends: string; shares: string; reason: string; says: RegExp }[] = [
  {
    name: 'a service that is missing',
    backends: '{ name: v9, port: 80 }, { name: v1, port: 80, weight: 3 }',
    shares: 'none:80*1 shop/v1:80*3',
    reason: 'BackendNotFound',
    says: /25 % of the connections are refused/,
  },
  {
    name: 'a port that is missing',
    backends: '{ name: v1, port: 90 }',
    shares: 'none:90*1',
    reason: 'BackendNotFound',
    says: /has no port 90/,
  },
  {
    name: 'a port of UDP',
    backends: '{ name: v1, port: 83 }',
    shares: 'none:83*1',
    reason: 'UnsupportedProtocol',
    says: /port 83 of Service shop\/v1 is not TCP/,
  },
  {
    name: 'another kind',
    backends: '{ group: x.io, kind: Thing, name: v1, port: 80 }',
    shares: 'none:80*1',
    reason: 'InvalidKind',
    says: /cannot be a backend/,
  },
];
for (const { name, backends: written, shares, reason, says } of backends) {
  test(`config-api 1.10: ${name} keeps its share, which is refused`, () => {
    const mesh = meshWith(route({ parent: 'name: cart, port: 80', backends: written }));
    assert.deepEqual(routesOf(mesh), [`80 ${shares}`]);
    assert.equal(mesh.conditions('TCPRoute shop/r')[1], `ResolvedRefs False ${reason}`);
    assert.match(mesh.problems('TCPRoute shop/r').join(), says);
  });
}
