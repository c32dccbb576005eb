import assert from 'node:assert/strict';
import test from 'node:test';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
const RESOURCE = 'Gateway shop/way';
const MESH = '{ name: mesh, port: 15008, protocol: HBONE }';
const INSTANCE = {
  name: 'way-1',
  serviceAccount: 'way',
  labels: { 'gateway.networking.k8s.io/gateway-name': 'way' },
  nativeTunnel: true,
};

function gateway(listeners: string, more = ''): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [${listeners}] }
${more}
`;
}

function service(name: string): string {
  return `apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop, labels: { istio.io/use-waypoint: way } }
spec: { selector: { app: ${name} }, ports: [{ name: http, port: 80 }, { name: grpc, port: 81 }] }
`;
}

function route(kind: 'HTTPRoute' | 'GRPCRoute', name: string, ...services: string[]): string {
  const parents = services.map((one) => `{ group: "", kind: Service, name: ${one} }`).join();
  return `apiVersion: gateway.networking.k8s.io/v1
kind: ${kind}
metadata: { name: ${name}, namespace: shop }
spec: { parentRefs: [${parents}], rules: [{ backendRefs: [{ name: ${services[0]}, port: 80 }] }] }
`;
}

function all(mesh: YamlMesh): readonly Condition[] {
  return mesh.index.snapshot().conditions.get(RESOURCE as ResourceName) ?? [];
}

/** What the status of a listener, or of the Gateway, tells beside its conditions. */
function fieldsOf(mesh: YamlMesh, listener?: string): Record<string, unknown> {
  return Object.assign({}, ...all(mesh).flatMap((one) => (one.listener === listener ? [one.fields] : [])));
}

const kindsOf = (mesh: YamlMesh, listener: string): string =>
  (fieldsOf(mesh, listener).supportedKinds as { kind: string }[]).map(({ kind }) => kind).join();

const SERVED = ['Accepted True Accepted', 'Conflicted False NoConflicts', 'ResolvedRefs True ResolvedRefs'];
const BOTH = 'GRPCRoute,HTTPRoute';

type Case = { name: string; listener: string; beside?: string; want: string[]; kinds: string; gateway: string };
const cases: Case[] = [
  { name: 'the listener of a waypoint', listener: MESH, want: SERVED, kinds: BOTH, gateway: 'True Accepted' },
  {
    name: 'another protocol',
    listener: '{ name: web, port: 80, protocol: HTTP }',
    beside: MESH,
    want: ['Accepted False UnsupportedProtocol', ...SERVED.slice(1)],
    kinds: '',
    gateway: 'True ListenersNotValid',
  },
  {
    name: 'another port',
    listener: '{ name: web, port: 80, protocol: HBONE }',
    beside: MESH,
    want: ['Accepted False PortUnavailable', ...SERVED.slice(1)],
    kinds: '',
    gateway: 'True ListenersNotValid',
  },
  {
    name: 'another protocol at the port of the waypoint',
    listener: '{ name: web, port: 15008, protocol: TCP }',
    beside: MESH,
    want: ['Accepted False UnsupportedProtocol', 'Conflicted True ProtocolConflict', 'ResolvedRefs True ResolvedRefs'],
    kinds: '',
    gateway: 'True ListenersNotValid',
  },
  {
    name: 'a hostname, which has no effect',
    listener: '{ name: mesh, port: 15008, protocol: HBONE, hostname: a.example.com }',
    want: ['Accepted False UnsupportedValue', ...SERVED.slice(1)],
    kinds: BOTH,
    gateway: 'True ListenersNotValid',
  },
  {
    name: 'one kind of routes',
    listener: '{ name: mesh, port: 15008, protocol: HBONE, allowedRoutes: { kinds: [{ kind: HTTPRoute }] } }',
    want: SERVED,
    kinds: 'HTTPRoute',
    gateway: 'True Accepted',
  },
  {
    name: 'a kind that waypoints do not run beside one that they do',
    listener: '{ name: mesh, port: 15008, protocol: HBONE, allowedRoutes: { kinds: [{ kind: TCPRoute }, { kind: GRPCRoute }] } }',
    want: ['Accepted True Accepted', 'Conflicted False NoConflicts', 'ResolvedRefs False InvalidRouteKinds'],
    kinds: 'GRPCRoute',
    gateway: 'True Accepted',
  },
];

for (const { name, listener, beside, want, kinds, gateway: whole } of cases) {
  test(`a listener is told what becomes of it: ${name}`, () => {
    const mesh = new YamlMesh(parser, gateway(beside === undefined ? listener : `${beside}, ${listener}`));
    mesh.register('alpha', INSTANCE);
    const title = listener.includes('name: web') ? 'web' : 'mesh';
    const told = mesh.conditions(RESOURCE, title);
    assert.deepEqual(told.filter((one) => !one.startsWith('Programmed')).sort(), [...want].sort());
    const isServed = kinds !== '';
    assert.ok(told.includes(isServed ? 'Programmed True Programmed' : 'Programmed False Invalid'), told.join());
    assert.equal(kindsOf(mesh, title), kinds);
    assert.deepEqual(mesh.conditions(RESOURCE), [`Accepted ${whole}`, 'Programmed True Programmed']);
  });
}

test('a listener counts the routes that the waypoint runs, each once, and those of no other waypoint', () => {
  const mesh = new YamlMesh(parser, [gateway(MESH), service('a'), service('b')].join('---\n'));
  const count = (): unknown => fieldsOf(mesh, 'mesh').attachedRoutes;
  assert.equal(count(), 0);
  mesh.apply([route('HTTPRoute', 'r', 'a', 'b'), route('HTTPRoute', 'q', 'b')].join('---\n'));
  assert.equal(count(), 2);
  mesh.apply(route('GRPCRoute', 'r', 'a'));
  assert.equal(count(), 3, 'of another kind it is another one');
  mesh.apply(service('b').replace('istio.io/use-waypoint: way', 'istio.io/use-waypoint: none'));
  assert.equal(count(), 2, 'q is attached to nothing that the waypoint serves');
  mesh.remove('HTTPRoute shop/r');
  assert.equal(count(), 1);
});

test('K116: addresses are told once an instance runs; when none is left it is pending, and they stay', () => {
  const mesh = new YamlMesh(parser, gateway(MESH));
  const programmed = (): [string | undefined, unknown] => [mesh.conditions(RESOURCE)[1], fieldsOf(mesh).addresses];
  assert.deepEqual(programmed(), ['Programmed False AddressNotAssigned', undefined]);
  mesh.register('alpha', INSTANCE);
  const ips = mesh.service('shop/way')?.addresses ?? [];
  const addresses = [
    ...ips.map((value) => ({ type: 'IPAddress', value })),
    { type: 'Hostname', value: 'way.shop.svc.cluster.local' },
  ];
  assert.deepEqual(programmed(), ['Programmed True Programmed', addresses]);
  // What was written comes back with the object.
  mesh.apply(gateway(MESH, `status: { addresses: ${JSON.stringify(addresses)} }`));
  mesh.register('alpha');
  assert.deepEqual(programmed(), ['Programmed False Pending', undefined]);
});

test('a class may say what traffic its waypoints take; the Gateway goes before it', () => {
  const gatewayClass = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: weft-waypoint, labels: { istio.io/waypoint-for: workload } }
spec: { controllerName: weft.dev/mesh-controller }
`;
  const mesh = new YamlMesh(parser, [gatewayClass, gateway(MESH), service('a')].join('---\n'));
  assert.deepEqual(mesh.conditions('Service shop/a'), ['istio.io/WaypointBound False UnsupportedTrafficType']);
  const own = gateway(MESH).replace('namespace: shop', 'namespace: shop, labels: { istio.io/waypoint-for: all }');
  mesh.apply(own);
  assert.deepEqual(mesh.conditions('Service shop/a'), ['istio.io/WaypointBound False WaypointIsNotReady']);
});
