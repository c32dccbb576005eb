import assert from 'node:assert/strict';
import test from 'node:test';
import { parser, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { ConnectionRoute } from '#model/waypoint/connection-routes.ts';

const PORTS = 'ports: [{ name: tls, port: 443 }, { name: any, port: 444 }, { name: http, port: 80 }]';
const service = (name: string, labels = '', namespace = 'shop') =>
  `{ apiVersion: v1, kind: Service, metadata: { name: ${name}, namespace: ${namespace}, labels: { ${labels} } }, spec: { selector: { app: a }, ${PORTS} } }`;
const SHOP = [
  '{ apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: { name: way, namespace: shop }, spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] } }',
  ...[service('cart', 'istio.io/use-waypoint: way'), service('v1'), service('v2'), service('bare')],
];

type Written = {
  kind?: string;
  name?: string;
  namespace?: string;
  hosts?: string;
  parent?: string;
  backend?: string;
  created?: string;
};

function route({
  kind = 'TLSRoute',
  name = 'r',
  namespace = 'shop',
  hosts = 'a.example',
  parent = 'name: cart, port: 443',
  backend = 'v1',
  created = '2026-01-01',
}: Written = {}) {
  const metadata = `{ name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}T00:00:00Z" }`;
  const names = kind === 'TLSRoute' ? `hostnames: [${hosts}], ` : '';
  const spec = `{ ${names}parentRefs: [{ group: "", kind: Service, namespace: shop, ${parent} }], rules: [{ backendRefs: [{ name: ${backend}, namespace: shop, port: 443 }] }] }`;
  return `{ apiVersion: gateway.networking.k8s.io/v1, kind: ${kind}, metadata: ${metadata}, spec: ${spec} }`;
}

const meshWith = (...documents: string[]) => new YamlMesh(parser, [...SHOP, ...documents].join('\n---\n'));

/** `port@namespace name → service` of each, in order. */
function routesOf(mesh: YamlMesh): string[] {
  const served = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  const { connections = [] } = served.find(({ key }) => key.startsWith('shop/cart')) ?? {};
  const place = ({ matches: [match], backends }: ConnectionRoute) => {
    const names = match?.serverNames ?? ['any'];
    const to = backends.map(({ service: key }) => key?.split(/[/.]/)[1] ?? 'none').join(' ') || 'nobody';
    return `${match?.ports}${match?.clientNamespace ? `@${match.clientNamespace}` : ''} ${names} → ${to}`;
  };
  return connections.map(place);
}

const orders: { name: string; documents: string[]; routes: string[] }[] = [
  { name: 'what no name takes is refused', documents: [route()], routes: ['443 a.example → v1', '443 any → nobody'] },
  {
    name: 'whole names come before wildcards, and longer ones before shorter ones',
    documents: [route({ hosts: '"*.example", "*.b.example", c.b.example' })],
    routes: ['443 c.b.example → v1', '443 *.b.example → v1', '443 *.example → v1', '443 any → nobody'],
  },
  {
    name: 'of two routes for a name the older one has it',
    documents: [route({ name: 'a', backend: 'v2', created: '2026-02-01', hosts: 'a.example, b.example' }), route()],
    routes: ['443 a.example → v1', '443 b.example → v2', '443 any → nobody'],
  },
  {
    name: 'a TCPRoute at the port takes the rest',
    documents: [route(), route({ kind: 'TCPRoute', name: 't', backend: 'v2' })],
    routes: ['443 a.example → v1', '443 any → v2'],
  },
  {
    name: "a consumer's route takes the place of the service's, for its own clients",
    documents: [route(), route({ namespace: 'web', hosts: 'b.example', backend: 'v2' })],
    routes: ['443@web b.example → v2', '443@web any → nobody', '443 a.example → v1', '443 any → nobody'],
  },
  {
    name: "a consumer's TCPRoute takes it, too",
    documents: [route(), route({ kind: 'TCPRoute', namespace: 'web', name: 't', backend: 'v2' })],
    routes: ['443@web any → v2', '443 a.example → v1', '443 any → nobody'],
  },
  {
    name: 'without a port it is at every one that is not HTTP',
    documents: [route({ parent: 'name: cart' })],
    routes: ['443 a.example → v1', '443 any → nobody', '444 a.example → v1', '444 any → nobody'],
  },
  {
    name: 'a backend that is not there is refused',
    documents: [route({ backend: 'v9' })],
    routes: ['443 a.example → none', '443 any → nobody'],
  },
];
for (const { name, documents, routes } of orders) {
  test(`config-api 1.14: of a TLSRoute ${name}`, () => assert.deepEqual(routesOf(meshWith(...documents)), routes));
}

test('config-api 1.14: a port with a TLSRoute carries TLS, if nothing else is said of it', () => {
  const at = (mesh: YamlMesh) => mesh.service('shop/cart')?.ports.find(({ servicePort }) => servicePort === 444)?.appProtocol;
  assert.deepEqual([at(meshWith()), at(meshWith(route({ parent: 'name: cart, port: 444' })))], ['unknown', 'tls']);
});

test('config-api 1.14: a TLSRoute that no waypoint runs is told so', () => {
  const mesh = meshWith(route({ parent: 'name: bare, port: 443' }));
  assert.match(mesh.problems('TLSRoute shop/r').join(), /no proxy runs this route: Service shop\/bare has no waypoint/);
  assert.deepEqual(
    [mesh, meshWith(route())].map((one) => one.conditions('TLSRoute shop/r').at(-1)),
    ['ResolvedWaypoints False MissingUseWaypointLabel', 'ResolvedWaypoints True ResolvedWaypoints'],
  );
});

testMistakes('TLSRoute', [
  {
    name: 'an address in the place of a name',
    spec: '{ hostnames: [10.0.0.1], rules: [{ backendRefs: [{ name: a, port: 1 }] }] }',
    at: 'spec.hostnames[0]',
    says: /no name that a client could ask for/,
    remedy: /db.example.com/,
  },
]);
