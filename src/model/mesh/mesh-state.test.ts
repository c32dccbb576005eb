import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aMesh, aService, aWorkload, deltaOf, endpointOf } from './mesh-fixtures.testing.ts';
import { MeshState } from './mesh-state.ts';

const cart = aService('cart', ['240.0.0.1']);
const pod = aWorkload('cart', ['10.0.0.1'], { services: endpointOf(cart) });
const key = 'shop/cart.shop.svc.cluster.local';

test('endpoints may arrive before their service', () => {
  const mesh = new MeshState();
  mesh.apply(deltaOf([pod]));
  mesh.apply(deltaOf([], [cart]));
  assert.deepEqual(
    mesh.endpoints(key).map(({ name }) => name),
    ['cart'],
  );
});

test('a replaced workload leaves no trace of its old addresses and services', () => {
  const mesh = aMesh([pod], [cart]);
  const touched = mesh.apply(deltaOf([{ ...pod, addresses: [parseIp('10.0.0.2')], services: new Map() }]));
  assert.equal(mesh.workloadByIp(parseIp('10.0.0.1')), null);
  assert.equal(mesh.workloadByIp(parseIp('10.0.0.2'))?.name, 'cart');
  assert.deepEqual(mesh.endpoints(key), []);
  assert.deepEqual([...touched.ips].sort(), ['10.0.0.1', '10.0.0.2']);
  assert.deepEqual([...touched.services], [key]);
});

test('removal is complete, and removing the unknown is no error', () => {
  const mesh = aMesh([pod], [cart]);
  const gone = {
    workloads: new Map([
      [pod.uid, null],
      ['x', null],
    ]),
    services: new Map([[key, null]]),
    policies: new Map(),
  };
  mesh.apply(gone);
  assert.deepEqual(mesh.counts, { workloads: 0, services: 0, policies: 0 });
  assert.equal(mesh.serviceByVip(parseIp('240.0.0.1'), 'shop'), null);
  assert.deepEqual(mesh.servicesByHostname(cart.hostname), []);
});

test('F15: whether a service has a name below another is known until the last of them is gone', () => {
  const mesh = aMesh([], [cart, { ...cart, hostname: 'x.example' }]);
  const below = (): boolean[] => ['shop.svc.cluster.local', 'local', cart.hostname].map((name) => mesh.hasHostnameBelow(name));
  assert.deepEqual(below(), [true, true, false]);
  mesh.apply({ workloads: new Map(), services: new Map([[key, null]]), policies: new Map() });
  assert.deepEqual([...below(), mesh.hasHostnameBelow('example')], [false, false, false, true]);
});

test('an address collision prefers pods, then HBONE; host-network workloads have no address', () => {
  const entry = aWorkload('entry', ['10.0.0.1'], { uid: 'k/networking.istio.io/WorkloadEntry/shop/entry' });
  assert.equal(aMesh([entry, pod]).workloadByIp(parseIp('10.0.0.1'))?.name, 'cart');
  const plain = aWorkload('plain', ['10.0.0.1'], { uid: 'k/x/y', tunnelProtocol: 'none' });
  assert.equal(aMesh([plain, entry]).workloadByIp(parseIp('10.0.0.1'))?.name, 'entry');
  assert.equal(aMesh([{ ...pod, hostNetwork: true }]).workloadByIp(parseIp('10.0.0.1')), null);
});

test('a shared VIP means the service of the client namespace, else the canonical one', () => {
  const other = { ...cart, namespace: 'other', hostname: 'cart.other', canonical: false };
  const mesh = aMesh([], [other, cart]);
  assert.equal(mesh.serviceByVip(parseIp('240.0.0.1'), 'other')?.namespace, 'other');
  assert.equal(mesh.serviceByVip(parseIp('240.0.0.1'), 'third')?.namespace, 'shop');
});

test('headless endpoints give one address of the family each, healthy ones only', () => {
  const second = aWorkload('b', ['10.0.0.2', 'fd00::2'], { services: endpointOf(cart), healthy: false });
  const mesh = aMesh([pod, second], [cart]);
  assert.deepEqual(mesh.endpointAddresses(key, 4), ['10.0.0.1']);
  assert.deepEqual(mesh.endpointAddresses(key, 6), []);
});
