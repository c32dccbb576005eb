import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp, tryParseCidr } from '#model/address/ip.ts';
import { aMesh, aService, aWorkload, deltaOf, endpointOf } from './mesh-fixtures.testing.ts';
import { MeshState } from './mesh-state.ts';
import { type Service, serviceKeyOf } from './service.ts';

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

/** A service of a namespace with these blocks. */
function wide(namespace: string, name: string, ...blocks: string[]): Service {
  const own = blocks.map((text) => tryParseCidr(text) ?? assert.fail(text));
  return aService(name, [], { namespace, hostname: name, blocks: own, canonical: name !== 'second' });
}

const blocks: { name: string; services: Service[]; from?: string; ip?: string; want: string | null }[] = [
  { name: 'an address in it', services: [wide('a', 'w', '10.1.0.0/16')], want: 'w' },
  { name: 'an address beside it', services: [wide('a', 'w', '10.2.0.0/16')], want: null },
  { name: 'the longest one', services: [wide('a', 'w', '10.0.0.0/8'), wide('a', 'n', '10.1.2.0/24')], want: 'n' },
  { name: 'one address as the longest', services: [wide('a', 'w', '10.1.2.2/31'), wide('a', 'n', '10.1.2.3/32')], want: 'n' },
  {
    name: 'one of the client’s namespace before a longer one of another',
    services: [wide('a', 'w', '10.1.0.0/16'), wide('b', 'n', '10.1.2.0/24')],
    from: 'a',
    want: 'w',
  },
  {
    name: 'the longest of the client’s namespace',
    services: [wide('a', 'w', '10.1.0.0/16'), wide('a', 'n', '10.1.2.0/24'), wide('b', 'x', '10.1.2.0/28')],
    from: 'a',
    want: 'n',
  },
  { name: 'the canonical one of two', services: [wide('b', 'second', '10.1.0.0/16'), wide('a', 'w', '10.1.0.0/16')], want: 'w' },
  {
    name: 'one that others may not see is passed over',
    services: [{ ...wide('b', 'n', '10.1.2.0/24'), namespaceOnly: true }, wide('a', 'w', '10.0.0.0/8')],
    want: 'w',
  },
  { name: 'everything', services: [wide('a', 'w', '0.0.0.0/0')], want: 'w' },
  { name: 'everything of the other family', services: [wide('a', 'w', '::/0')], want: null },
  { name: 'of IPv6', services: [wide('a', 'w', 'fd00::/8'), wide('a', 'n', 'fd01:2::/33')], ip: 'fd01:2:0:1::7', want: 'n' },
  { name: 'not where a workload has the address', services: [wide('a', 'w', '10.0.0.0/8')], ip: '10.0.0.1', want: null },
  { name: 'not where a service has it', services: [cart, wide('a', 'w', '240.0.0.0/4')], ip: '240.0.0.1', want: 'cart' },
];
for (const { name, services, from = 'elsewhere', ip = '10.1.2.3', want } of blocks) {
  test(`B41: a block of addresses means a service: ${name}`, () => {
    const mesh = aMesh([pod], services);
    assert.equal(mesh.serviceByVip(parseIp(ip), from)?.name ?? null, want);
    const gone = new Map(services.map((one) => [serviceKeyOf(one), null]));
    const { blocks: touched } = mesh.apply({ workloads: new Map(), services: gone, policies: new Map() });
    assert.equal(touched, true);
    assert.deepEqual([mesh.serviceByVip(parseIp(ip), from), [...mesh.blocks()]], [null, []]);
  });
}

test('a waypoint is found by its own address, never by a block around it', () => {
  const around = wide('a', 'w', '10.0.0.0/8');
  const mesh = aMesh([aWorkload('behind', ['10.0.0.9'], { services: endpointOf(around) })], [around]);
  const at = (text: string) => ({ kind: 'address', network: '', address: parseIp(text), hbonePort: 15_008 }) as const;
  assert.deepEqual(mesh.waypointMembers(at('10.1.1.1')), []);
  assert.deepEqual(
    mesh.waypointMembers(at('10.0.0.9')).map(({ name }) => name),
    ['behind'],
  );
});
