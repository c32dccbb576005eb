import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { GatewayAddress } from '#model/mesh/service.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function gateway({ labels = '', className = 'weft-waypoint', from = '', listeners = '', status = '' } = {}): string {
  const routes = from === '' ? '' : `, allowedRoutes: { namespaces: ${from} }`;
  const list = listeners === '' ? `{ name: mesh, port: 15008, protocol: HBONE${routes} }` : listeners;
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop, labels: { ${labels} } }
spec: { gatewayClassName: ${className}, listeners: [${list}] }
status: { ${status} }
`;
}

function service(labels: string, namespace = 'shop', name = 's'): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: ${namespace}, labels: { ${labels} } }\nspec: { selector: { app: a }, ports: [{ port: 80 }] }\n`;
}

function namespace(labels: string, name = 'shop'): string {
  return `apiVersion: v1\nkind: Namespace\nmetadata: { name: ${name}, labels: { ${labels} } }\n`;
}

function pod(labels: string): string {
  return `apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: shop, labels: { ${labels} } }\nspec: {}\nstatus: { podIP: 10.0.0.1 }\n`;
}

const USE = 'istio.io/use-waypoint: way';
const FROM_SHOP = `${USE}, istio.io/use-waypoint-namespace: shop`;
const INSTANCE = {
  name: 'way-1',
  serviceAccount: 'way',
  labels: { 'gateway.networking.k8s.io/gateway-name': 'way' },
  nativeTunnel: true,
};
const OWN = 'way.shop.svc.cluster.local:15008';

/** `host:port` of a binding, or `none`. */
function where(address: GatewayAddress | null | undefined): string {
  if (address === null || address === undefined) return 'none';
  return `${address.kind === 'hostname' ? address.hostname : address.address}:${address.hbonePort}`;
}

type Case = { name: string; yaml: string[]; ready?: boolean; service?: string; pod?: string; condition?: string };
const cases: Case[] = [
  { name: 'no label: straight to the service', yaml: [gateway(), service('')], service: 'none', condition: '' },
  { name: 'bound and ready', yaml: [gateway(), service(USE)], ready: true, service: OWN, condition: 'True WaypointAccepted' },
  {
    name: 'C35: not ready: bound all the same, so that traffic is refused',
    yaml: [gateway(), service(USE)],
    service: OWN,
    condition: 'False WaypointIsNotReady',
  },
  { name: 'C35: missing: bound all the same', yaml: [service(USE)], service: OWN, condition: 'False WaypointIsNotReady' },
  {
    name: 'the namespace may ask for it',
    yaml: [gateway(), namespace(USE), service('')],
    ready: true,
    service: OWN,
    condition: 'True WaypointAccepted',
  },
  {
    name: 'C36: none on the service overrides its namespace',
    yaml: [gateway(), namespace(USE), service('istio.io/use-waypoint: none')],
    service: 'none',
    condition: '',
  },
  {
    name: 'C36: a waypoint for services leaves the pods of its namespace alone',
    yaml: [gateway(), namespace(USE), pod('')],
    pod: 'none',
  },
  { name: 'a missing waypoint of the namespace leaves its pods alone', yaml: [namespace(USE), pod('')], pod: 'none' },
  { name: 'a missing waypoint of the pod itself does not', yaml: [pod(USE)], pod: OWN },
  {
    name: 'a waypoint for workloads takes pods',
    yaml: [gateway({ labels: 'istio.io/waypoint-for: workload' }), namespace(USE), pod('')],
    pod: OWN,
  },
  {
    name: 'a waypoint for all takes both',
    yaml: [gateway({ labels: 'istio.io/waypoint-for: all' }), namespace(USE), pod(''), service('')],
    pod: OWN,
    service: OWN,
  },
  {
    name: 'a waypoint for workloads is reported at a service, and not used',
    yaml: [gateway({ labels: 'istio.io/waypoint-for: workload' }), namespace(USE), service('')],
    service: 'none',
    condition: 'False UnsupportedTrafficType',
  },
  {
    name: 'C37: another namespace is not accepted: refused, not passed by',
    yaml: [gateway(), service(FROM_SHOP, 'other')],
    service: 'way.shop.attachment-denied.invalid:15008',
    condition: 'False AttachmentDenied',
  },
  {
    name: 'C37: with From All it is bound',
    yaml: [gateway({ from: '{ from: All }' }), service(FROM_SHOP, 'other')],
    ready: true,
    service: OWN,
    condition: 'True WaypointAccepted',
  },
  {
    name: 'C37: a Selector admits namespaces by their labels',
    yaml: [
      gateway({ from: '{ from: Selector, selector: { matchLabels: { team: a } } }' }),
      namespace('team: a', 'other'),
      service(FROM_SHOP, 'other'),
    ],
    ready: true,
    service: OWN,
    condition: 'True WaypointAccepted',
  },
  {
    name: 'C37: a Selector refuses the others',
    yaml: [
      gateway({ from: '{ from: Selector, selector: { matchExpressions: [{ key: team, operator: Exists }] } }' }),
      service(FROM_SHOP, 'other'),
    ],
    service: 'way.shop.attachment-denied.invalid:15008',
    condition: 'False AttachmentDenied',
  },
  {
    name: 'without an HBONE listener it can never work: refused',
    yaml: [gateway({ listeners: '{ name: http, port: 80, protocol: HTTP }' }), service(USE)],
    service: 'way.shop.unusable.invalid:15008',
    condition: 'False WaypointIsNotReady',
  },
  {
    name: 'a Service of another kind with its name: refused',
    yaml: [gateway(), service('', 'shop', 'way'), service(USE)],
    service: 'way.shop.unusable.invalid:15008',
    condition: 'False WaypointIsNotReady',
  },
  {
    name: 'another controller’s Gateway is reached where it says',
    yaml: [
      gateway({ className: 'other', status: 'addresses: [{ value: 10.9.9.9 }, { type: Hostname, value: w.example.com }]' }),
      service(USE),
    ],
    service: 'w.example.com:15008',
    condition: 'True WaypointAccepted',
  },
  {
    name: 'or by its address',
    yaml: [gateway({ className: 'other', status: 'addresses: [{ value: 10.9.9.9 }]' }), service(USE)],
    service: '10.9.9.9:15008',
    condition: 'True WaypointAccepted',
  },
  {
    name: 'what a mesh controller generated never has a waypoint',
    yaml: [namespace(USE), service('gateway.istio.io/managed: istio.io-mesh-controller')],
    service: 'none',
    condition: '',
  },
];

for (const { name, yaml, ready = false, condition, ...want } of cases) {
  test(`binding: ${name}`, () => {
    const mesh = new YamlMesh(parser, yaml.join('---\n'));
    if (ready) mesh.register('alpha', INSTANCE);
    const key = mesh.service('other/s') === null ? 'shop/s' : 'other/s';
    if (want.service !== undefined) assert.equal(where(mesh.service(key)?.waypoint), want.service);
    if (want.pod !== undefined) assert.equal(where(mesh.workload('p')?.waypoint), want.pod);
    if (condition === undefined) return;
    assert.deepEqual(mesh.conditions(`Service ${key}`), condition === '' ? [] : [`istio.io/WaypointBound ${condition}`]);
  });
}

test('C35: losing its last instance does not unbind a service', () => {
  const mesh = new YamlMesh(parser, [gateway(), service(USE)].join('---\n'));
  mesh.register('alpha', INSTANCE);
  const { mesh: delta } = mesh.register('alpha');
  assert.equal(delta.services.size, 0);
  assert.deepEqual(mesh.conditions('Service shop/s'), ['istio.io/WaypointBound False WaypointIsNotReady']);
});

test('C38: a Gateway of a waypoint class is to be run, with a service and an identity of its name', () => {
  for (const className of ['weft-waypoint', 'istio-waypoint']) {
    const mesh = new YamlMesh(parser, gateway({ className }));
    const managed = mesh.index.snapshot().gateways.get('shop/way');
    assert.equal(managed?.serviceAccount, 'way');
    assert.equal(managed?.labels['gateway.networking.k8s.io/gateway-name'], 'way');
    const own = mesh.service('shop/way');
    assert.deepEqual(own?.ports, [{ servicePort: 15008, targetPort: 15008, appProtocol: 'unknown' }]);
    assert.deepEqual(managed?.addresses, own?.addresses);
    assert.equal(own?.addresses.length, 2);
  }
});

test('an identity that a Gateway asks for later is told', () => {
  const mesh = new YamlMesh(parser, gateway());
  const asked = gateway().replace(
    'namespace: shop,',
    'namespace: shop, annotations: { gateway.istio.io/service-account: keeper },',
  );
  const { gateways, mesh: changed } = mesh.apply(asked);
  assert.equal(gateways.get('shop/way')?.serviceAccount, 'keeper');
  assert.equal(changed.services.size, 0);
  assert.equal(mesh.apply(gateway()).gateways.get('shop/way')?.serviceAccount, 'way');
});

test('C33: a waypoint whose address a user takes gets another, and its controller is told', () => {
  const mesh = new YamlMesh(parser, gateway());
  const [taken] = mesh.service('shop/way')?.addresses ?? [];
  const { gateways } = mesh.apply(service('', 'shop', 'mine').replace('spec: {', `spec: { clusterIP: ${taken},`));
  assert.deepEqual(gateways.get('shop/way')?.addresses, mesh.service('shop/way')?.addresses);
  assert.notEqual(gateways.get('shop/way')?.addresses[0], taken);
});

test('C38: of another class it is not, and has no service here', () => {
  const mesh = new YamlMesh(parser, gateway({ className: 'other' }));
  assert.deepEqual([mesh.index.snapshot().gateways.size, mesh.service('shop/way')], [0, null]);
});

test('C38: a foreign Service of its name is left as it is', () => {
  const foreign = service('', 'shop', 'way');
  const mesh = new YamlMesh(parser, foreign);
  const { mesh: delta } = mesh.apply(gateway());
  assert.equal(delta.services.size, 0);
  assert.deepEqual(mesh.conditions('Gateway shop/way'), ['Accepted False Invalid', 'Programmed False Invalid']);
  assert.match(mesh.problems('Gateway shop/way').join(), /WEFT_WAYPOINT_UNUSABLE/);
});

test('C39: programmed once an instance runs', () => {
  const mesh = new YamlMesh(parser, gateway());
  assert.deepEqual(mesh.conditions('Gateway shop/way'), ['Accepted True Accepted', 'Programmed False AddressNotAssigned']);
  mesh.register('alpha', { ...INSTANCE, enrolled: false, nativeTunnel: false });
  assert.deepEqual(mesh.conditions('Gateway shop/way'), ['Accepted True Accepted', 'Programmed False AddressNotAssigned']);
  mesh.register('alpha', INSTANCE);
  assert.deepEqual(mesh.conditions('Gateway shop/way'), ['Accepted True Accepted', 'Programmed True Programmed']);
});

test('instances of a waypoint are its endpoints, and never have a waypoint', () => {
  const all = gateway({ labels: 'istio.io/waypoint-for: all' });
  const mesh = new YamlMesh(parser, [all, namespace(USE)].join('---\n'));
  mesh.register('alpha', INSTANCE, { name: 'app' });
  assert.deepEqual([...(mesh.workload('way-1')?.services.keys() ?? [])], ['shop/way.shop.svc.cluster.local']);
  assert.equal(mesh.workload('way-1')?.tunnelProtocol, 'hbone');
  assert.deepEqual([where(mesh.workload('way-1')?.waypoint), where(mesh.workload('app')?.waypoint)], ['none', OWN]);
  assert.equal(where(mesh.service('shop/way')?.waypoint), 'none');
});

test('a Gateway that goes takes its service with it; what was bound stays bound', () => {
  const mesh = new YamlMesh(parser, [gateway(), service(USE)].join('---\n'));
  const { mesh: delta, gateways, waypoints } = mesh.remove('Gateway shop/way');
  assert.deepEqual([...delta.services], [['shop/way.shop.svc.cluster.local', null]]);
  assert.deepEqual([gateways.get('shop/way'), waypoints.get('shop/way')], [null, null]);
  assert.equal(where(mesh.service('shop/s')?.waypoint), OWN);
});

test('a mistyped waypoint is reported with the name that was meant', () => {
  const mesh = new YamlMesh(parser, [gateway(), service('istio.io/use-waypoint: wya')].join('---\n'));
  assert.match(
    mesh.problems('Service shop/s').join(),
    /Gateway shop\/wya does not exist \(did you mean way\?\); traffic is refused/,
  );
  mesh.remove('Gateway shop/way');
  assert.doesNotMatch(mesh.problems('Service shop/s').join(), /did you mean/);
});

test('an unknown kind of traffic is reported at the Gateway', () => {
  const mesh = new YamlMesh(parser, gateway({ labels: 'istio.io/waypoint-for: workloads' }));
  assert.match(mesh.problems('Gateway shop/way').join(), /did you mean workload\?/);
});
