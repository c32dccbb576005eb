import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const AUTO = 'weft-auto.shop.svc.cluster.local';
const INSTANCE = {
  name: 'auto-1',
  serviceAccount: 'weft-auto',
  labels: { 'gateway.networking.k8s.io/gateway-name': 'weft-auto' },
  nativeTunnel: true,
};

function service(name = 'cart', more = ''): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop${more} }\nspec: { clusterIP: 10.3.0.${name.length}, selector: { app: ${name} }, ports: [{ port: 80, targetPort: 8080 }] }\n`;
}
function route(namespace = 'shop', kind = 'HTTPRoute'): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: r, namespace: ${namespace} }
spec: { parentRefs: [{ group: "", kind: Service, name: cart, namespace: shop }], rules: [{}] }
`;
}
const TLS = route('shop', 'TLSRoute').replace(
  'rules: [{}]',
  'hostnames: [db.example.com], rules: [{ backendRefs: [{ name: cart, port: 80 }] }]',
);
const ALLOW = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: p, namespace: shop }
spec: { targetRefs: [{ group: "", kind: Service, name: cart }], rules: [{ to: [{ operation: { methods: [GET] } }] }] }
`;
const JWT = `apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: j, namespace: shop }
spec: { targetRefs: [{ group: "", kind: Service, name: cart }], jwtRules: [{ issuer: me, jwks: '{"keys":[]}' }] }
`;
const TRIAL = ALLOW.replace('namespace: shop }', "namespace: shop, annotations: { istio.io/dry-run: 'true' } }");
const LIMIT = `apiVersion: weft.dev/v1alpha1
kind: TrafficPolicy
metadata: { name: t, namespace: shop }
spec: { targetRefs: [{ group: "", kind: Service, name: cart }], faultInjection: { abort: { httpStatus: 503 } } }
`;
function gateway({ annotations = "weft.dev/auto: 'true'", name = 'weft-auto' } = {}): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: shop, annotations: { ${annotations} } }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;
}
const ACTIVE = gateway({ annotations: "weft.dev/auto: 'true', weft.dev/activated: 'true'" });

function meshOf(...yaml: string[]): YamlMesh {
  return new YamlMesh(parser, yaml.join('---\n'), { autoWaypoints: true });
}

/** Where requests for the service go: past every waypoint ('-'), or to this host. */
function where(mesh: YamlMesh, key = 'shop/cart'): string {
  const address = mesh.service(key)?.waypoint;
  return address === null || address === undefined ? '-' : address.kind === 'hostname' ? address.hostname : address.address;
}

/** What is wanted of the namespace's Gateway; '' when nothing is. */
function wanted(mesh: YamlMesh): string {
  const [one, ...others] = [...mesh.index.apply({ upserted: [] }).autoGateways.values()];
  assert.equal(others.length, 0);
  return one === undefined ? '' : JSON.stringify(one);
}

function needed(mesh: YamlMesh, yaml: string): boolean | null {
  const change = mesh.apply(yaml).autoGateways.get('shop');
  return change?.isNeeded ?? null;
}

const triggers: { name: string; yaml: string; labels?: string; space?: string; want: boolean | null; bound?: string }[] = [
  { name: 'K129: an HTTPRoute', yaml: route(), want: true },
  { name: 'K129: a GRPCRoute', yaml: route('shop', 'GRPCRoute'), want: true },
  { name: 'K129: a policy of traffic, until when it is not in force', yaml: LIMIT, want: true },
  { name: 'K130: a policy that refuses, until when all is refused', yaml: ALLOW, want: true, bound: AUTO },
  { name: 'K130: a policy that wants tokens', yaml: JWT, want: true, bound: AUTO },
  { name: 'K130: the trial of a policy refuses nobody', yaml: TRIAL, want: true },
  { name: 'K133: a route of another namespace makes nothing', yaml: route('other'), want: null },
  { name: 'K129: a TLSRoute', yaml: TLS, want: true },
  {
    name: 'a TCPRoute needs none',
    yaml: route('shop', 'TCPRoute').replace('[{}]', '[{ backendRefs: [{ name: cart, port: 80 }] }]'),
    want: null,
  },
  { name: 'K132: the service says no', yaml: ALLOW, labels: ', annotations: { weft.dev/auto-waypoint: "false" }', want: null },
  { name: 'K132: its namespace says no', yaml: ALLOW, space: 'annotations: { weft.dev/auto-waypoint: "false" }', want: null },
  { name: 'K132: no by a label', yaml: ALLOW, space: 'labels: { weft.dev/auto-waypoint: "false" }', want: null },
  { name: 'K132: none was asked for', yaml: ALLOW, space: 'labels: { istio.io/use-waypoint: none }', want: null },
  {
    name: 'another was asked for',
    yaml: route(),
    labels: ', labels: { istio.io/use-waypoint: own }',
    want: null,
    bound: 'own.shop.svc.cluster.local',
  },
];
for (const { name, yaml, labels, space, want, bound = '-' } of triggers) {
  test(`trigger: ${name}`, () => {
    const mesh = meshOf(service('cart', labels), service('other'));
    if (space !== undefined) mesh.apply(`apiVersion: v1\nkind: Namespace\nmetadata: { name: shop, ${space} }\n`);
    assert.equal(needed(mesh, yaml), want);
    assert.deepEqual([where(mesh), where(mesh, 'shop/other')], [bound, '-']);
  });
}

test('where no waypoints are made by themselves, nothing of this happens', () => {
  const mesh = new YamlMesh(parser, [service(), ALLOW].join('---\n'));
  assert.deepEqual([wanted(mesh), where(mesh)], ['', '-']);
  assert.match(mesh.conditions('AuthorizationPolicy shop/p').join(), /False AncestorNotBound/);
});

test('K129: a route takes effect when the waypoint has been ready, and not before; K131: then losing it refuses', () => {
  const mesh = meshOf(service(), route());
  const told = () => mesh.conditions('HTTPRoute shop/r').find((one) => one.startsWith('ResolvedWaypoints'));
  assert.equal(told(), 'ResolvedWaypoints False WaypointPending');
  assert.deepEqual(mesh.problems('HTTPRoute shop/r'), []);
  mesh.apply(gateway());
  assert.equal(where(mesh), '-');
  const { autoGateways } = mesh.register('alpha', INSTANCE);
  assert.deepEqual(autoGateways.get('shop'), {
    ...{ namespace: 'shop', name: 'weft-auto', isNeeded: true, isThere: true, isReady: true, isActivated: false },
  });
  assert.equal(where(mesh), '-');
  mesh.apply(ACTIVE);
  assert.deepEqual([where(mesh), told()], [AUTO, 'ResolvedWaypoints True ResolvedWaypoints']);
  mesh.register('alpha');
  assert.equal(where(mesh), AUTO);
  assert.deepEqual(mesh.conditions('Service shop/cart'), ['istio.io/WaypointBound False WaypointIsNotReady']);
});

test('K131: with the last that needed it the service is bound no more, and the Gateway is told to be needed by nobody', () => {
  const mesh = meshOf(service(), route(), ALLOW, ACTIVE);
  mesh.register('alpha', INSTANCE);
  assert.equal(mesh.remove('HTTPRoute shop/r').autoGateways.size, 0);
  assert.equal(where(mesh), AUTO);
  assert.equal(mesh.remove('AuthorizationPolicy shop/p').autoGateways.get('shop')?.isNeeded, false);
  assert.equal(where(mesh), '-');
  assert.equal(mesh.remove('Gateway shop/weft-auto').autoGateways.get('shop'), null);
});

test('K130: what is refused before is told so, and is bound like any other after', () => {
  const mesh = meshOf(service(), ALLOW);
  assert.deepEqual(mesh.conditions('Service shop/cart'), ['istio.io/WaypointBound False WaypointPending']);
  assert.match(mesh.conditions('AuthorizationPolicy shop/p').join(), /WaypointAccepted False WaypointPending/);
  mesh.apply(ACTIVE);
  mesh.register('alpha', INSTANCE);
  assert.deepEqual(mesh.conditions('Service shop/cart'), ['istio.io/WaypointBound True WaypointAccepted']);
});

test('K133: a route of another namespace binds the service while a waypoint there is ready, and can close nothing', () => {
  const mesh = meshOf(service(), route('other'));
  const told = () => mesh.conditions('HTTPRoute other/r').find((one) => one.startsWith('ResolvedWaypoints'));
  assert.deepEqual([where(mesh), told()], ['-', 'ResolvedWaypoints False ForeignNamespaceWithoutWaypoint']);
  mesh.apply(ACTIVE);
  assert.equal(where(mesh), '-');
  mesh.register('alpha', INSTANCE);
  assert.deepEqual([where(mesh), told()], [AUTO, 'ResolvedWaypoints True ResolvedWaypoints']);
  mesh.register('alpha');
  assert.equal(where(mesh), '-');
});

test('a Gateway of that name which somebody has made is bound at once, and stays theirs', () => {
  const mesh = meshOf(service(), route(), gateway({ annotations: '' }));
  assert.equal(where(mesh), AUTO);
  assert.equal(mesh.remove('HTTPRoute shop/r').autoGateways.get('shop'), null);
});
