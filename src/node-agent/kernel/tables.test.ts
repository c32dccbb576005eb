import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp, tryParseCidr } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SERVICE_FLAG } from '#model/kernel/abi.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { type Service, serviceKeyOf } from '#model/mesh/service.ts';
import { IdTable } from '#model/path/ids.ts';
import { memoryKernel } from './memory-kernel.testing.ts';
import { KernelTables } from './tables.ts';

const cart = aService('cart', ['240.0.0.1']);
const KEY = { ip: parseIp('240.0.0.1'), port: 80, protocol: 6 };
const pod = (name: string, ip: string) => aWorkload(name, [ip], { services: endpointOf(cart) });
const location = { node: 'one', clusterId: '', network: '', locality: { region: '', zone: '', subzone: '' } };

function setUp(addressesMax?: number) {
  const kernel = memoryKernel(addressesMax);
  const mesh = new MeshState();
  const tables = new KernelTables(kernel.maps, SILENT_LOG);
  const view = {
    mesh,
    ids: new IdTable(),
    isLocal: () => false,
    enrolledAt: () => null,
    enrolledAs: () => null,
    datagramsClear: false,
    location,
  };
  const apply = (...delta: Parameters<typeof deltaOf>): void => tables.refresh(mesh.apply(deltaOf(...delta)), view);
  return { kernel, mesh, tables, view, apply };
}

test('a service gets one slot for each endpoint, and loses the slots of those that leave', () => {
  const { kernel, mesh, tables, view, apply } = setUp();
  apply([pod('a', '10.0.0.1'), pod('b', '10.0.0.2')], [cart]);
  const { maps } = kernel;
  assert.equal(maps.services.get(KEY)?.backendCount, 2);
  assert.equal(maps.backends.entries().length, 2);
  tables.refresh(mesh.apply({ workloads: new Map([['k//Pod/shop/a', null]]), services: new Map(), policies: new Map() }), view);
  assert.equal(maps.services.get(KEY)?.backendCount, 1);
  assert.deepEqual(
    maps.backends.entries().map(([, { ip }]) => ip),
    ['10.0.0.2'],
  );
  assert.equal(maps.addresses.get(parseIp('10.0.0.1')), null);
});

test('a removed service leaves nothing', () => {
  const { kernel, mesh, tables, view, apply } = setUp();
  apply([pod('a', '10.0.0.1')], [cart]);
  tables.refresh(
    mesh.apply({ workloads: new Map(), services: new Map([['shop/cart.shop.svc.cluster.local', null]]), policies: new Map() }),
    view,
  );
  assert.deepEqual([kernel.maps.services.entries(), kernel.maps.backends.entries()], [[], []]);
});

test('an address that another service takes over leaves no slot of the first one', () => {
  const { kernel, mesh, tables, view, apply } = setUp();
  apply([pod('a', '10.0.0.1'), pod('b', '10.0.0.2')], [cart]);
  const heir = aService('heir', ['240.0.0.1']);
  const delta = deltaOf([aWorkload('c', ['10.0.0.3'], { services: endpointOf(heir) })], [heir]);
  tables.refresh(
    mesh.apply({ ...delta, services: new Map([...delta.services, ['shop/cart.shop.svc.cluster.local', null]]) }),
    view,
  );
  assert.deepEqual(
    kernel.maps.backends.entries().map(([, { ip }]) => ip),
    ['10.0.0.3'],
  );
  assert.equal(kernel.maps.services.get(KEY)?.backendCount, 1);
});

test('a full map is not complete, and becomes complete when there is room again', () => {
  const { mesh, tables, view, apply } = setUp(1);
  apply([pod('a', '10.0.0.1')], []);
  assert.equal(tables.complete, true);
  apply([pod('b', '10.0.0.2')], []);
  assert.equal(tables.complete, false, 'unknown destinations must go to the agent');
  tables.refresh(mesh.apply({ workloads: new Map([['k//Pod/shop/b', null]]), services: new Map(), policies: new Map() }), view);
  assert.equal(tables.complete, true);
});

test('what an adopted map holds of a mesh that is gone is purged', () => {
  const { kernel, view, tables, apply } = setUp();
  const { maps } = kernel;
  maps.addresses.set(parseIp('10.9.9.9'), { id: 3, flags: 0, waypointId: 0 });
  maps.services.set({ ip: parseIp('240.9.9.9'), port: 80, protocol: 6 }, { id: 9, backendCount: 1, waypointId: 0, flags: 0 });
  maps.backends.set({ serviceId: 9, slot: 0 }, { ip: parseIp('10.9.9.9'), port: 1 });
  apply([pod('a', '10.0.0.1')], [cart]);
  tables.purgeUnknown(view);
  assert.deepEqual(
    maps.addresses.entries().map(([ip]) => ip),
    ['10.0.0.1'],
  );
  assert.deepEqual(
    maps.services.entries().map(([key]) => [key.ip, key.port]),
    [
      ['240.0.0.1', 0],
      ['240.0.0.1', 80],
    ],
  );
  assert.equal(maps.backends.entries().length, 1);
});

/** How many writes the kernel's maps of services see meanwhile. */
function writesDuring({ services, backends }: KernelMaps, act: () => void): { services: number; backends: number } {
  const count = { services: 0, backends: 0 };
  const counted = (name: keyof typeof count, map: { set: unknown; delete: unknown }): (() => void) => {
    const { set, delete: remove } = map as { set(...args: unknown[]): unknown; delete(...args: unknown[]): unknown };
    map.set = (...args: unknown[]) => {
      count[name]++;
      return set.apply(map, args);
    };
    map.delete = (...args: unknown[]) => {
      count[name]++;
      return remove.apply(map, args);
    };
    return () => Object.assign(map, { set, delete: remove });
  };
  const restore = [counted('services', services), counted('backends', backends)];
  act();
  for (const undo of restore) undo();
  return count;
}

test('S9: all addresses of a service share its slots, and one endpoint among thousands costs a write or two', () => {
  const wide = aService(
    'wide',
    Array.from({ length: 60 }, (_, at) => `240.0.1.${at}`),
  );
  const endpoint = (at: number) => aWorkload(`w${at}`, [`10.${1 + (at >> 8)}.0.${at & 255}`], { services: endpointOf(wide) });
  const { kernel, mesh, tables, view, apply } = setUp();
  apply(
    Array.from({ length: 10_000 }, (_, at) => endpoint(at)),
    [wide],
  );
  const { maps } = kernel;
  assert.equal(maps.backends.entries().length, 10_000);
  const gone = { workloads: new Map([['k//Pod/shop/w5', null]]), services: new Map(), policies: new Map() };
  // Its place is taken by the last one, whose own is given back; each address has its count.
  assert.deepEqual(
    writesDuring(maps, () => tables.refresh(mesh.apply(gone), view)),
    { services: 60, backends: 2 },
  );
  assert.deepEqual(
    writesDuring(maps, () => apply([endpoint(5)])),
    { services: 60, backends: 1 },
  );
  const moved = { ...endpoint(7), addresses: [parseIp('10.99.0.7')] };
  assert.deepEqual(
    writesDuring(maps, () => apply([moved])),
    { services: 0, backends: 1 },
  );
  const ips = maps.backends.entries().map(([, { ip }]) => ip);
  assert.equal(new Set(ips).size, 10_000);
  assert.ok(ips.includes(parseIp('10.99.0.7')) && !ips.includes(parseIp('10.1.0.7')));
});

test('S9: slots that did not fit are written when there is room, and are not counted before', () => {
  const { kernel, mesh, tables, view, apply } = setUp();
  const { maps } = kernel;
  const { set } = maps.backends;
  maps.backends.set = (key, value) => {
    if (key.slot >= 1) throw new Error('the map is full');
    set.call(maps.backends, key, value);
  };
  apply([pod('a', '10.0.0.1'), pod('b', '10.0.0.2')], [cart]);
  assert.deepEqual([tables.complete, maps.services.get(KEY)], [false, null]);
  maps.backends.set = set;
  tables.refresh(mesh.apply(deltaOf([pod('c', '10.0.0.3')])), view);
  assert.deepEqual([tables.complete, maps.services.get(KEY)?.backendCount, maps.backends.entries().length], [true, 3, 3]);
});

/** A service of a namespace that stands for blocks. */
function wide(namespace: string, change: Partial<Service>, ...texts: string[]): Service {
  const own = texts.map((text) => tryParseCidr(text) ?? assert.fail(text));
  return aService(`${namespace}-${texts.join()}`, [], { namespace, hostname: texts.join(), blocks: own, ...change });
}
const PASSING = { loadBalancing: { mode: 'passthrough', routingPreference: [], allowUnhealthy: true } } as const;
const AROUND: Partial<Service> = { waypoint: { kind: 'address', network: '', address: parseIp('10.9.9.9'), hbonePort: 15_008 } };

const blocks: { name: string; services: Service[]; of?: string; want: string }[] = [
  { name: 'passing by', services: [wide('a', PASSING, '10.1.0.0/16')], want: '0: passthrough, 80: passthrough' },
  { name: 'with endpoints', services: [wide('a', {}, '10.1.0.0/16')], want: '0: , 80: ' },
  { name: 'with a waypoint', services: [wide('a', AROUND, '10.1.0.0/16')], want: '0: agent mesh' },
  {
    name: 'within another of its namespace',
    services: [wide('a', {}, '10.0.0.0/8'), wide('a', PASSING, '10.1.0.0/16')],
    want: '0: passthrough, 80: passthrough',
  },
  {
    name: 'within one of another namespace, whose clients mean that',
    services: [wide('b', {}, '10.0.0.0/8'), wide('a', PASSING, '10.1.0.0/16')],
    want: '0: agent',
  },
  {
    name: 'around one of another namespace',
    services: [wide('b', {}, '10.1.2.0/24'), wide('a', PASSING, '10.1.0.0/16')],
    want: '0: passthrough, 80: passthrough',
  },
  { name: 'that others may not see', services: [wide('a', { namespaceOnly: true }, '10.1.0.0/16')], want: '0: agent' },
  { name: 'of two', services: [wide('a', {}, '10.1.0.0/16'), wide('b', {}, '10.1.0.0/16')], want: '0: agent' },
];
for (const { name, services, want } of blocks) {
  test(`B41: a block ${name} is in the kernel`, () => {
    const { kernel, mesh, tables, view, apply } = setUp();
    const { maps } = kernel;
    apply([], services);
    const block = { prefixLength: 32 + 96 + 16, isV4: 1, ip: parseIp('10.1.0.0') };
    const place = maps.blocks.get(block);
    const flagsOf = (flags: number): string =>
      (['agent', 'mesh', 'passthrough'] as const).filter((flag) => (flags & SERVICE_FLAG[flag]) !== 0).join(' ');
    const entries = maps.services.entries().filter(([key]) => key.ip === place);
    assert.equal(entries.map(([{ port }, { flags }]) => `${port}: ${flagsOf(flags)}`).join(', '), want);
    const gone = new Map(services.map((one) => [serviceKeyOf(one), null]));
    tables.refresh(mesh.apply({ workloads: new Map(), services: gone, policies: new Map() }), view);
    assert.deepEqual([maps.blocks.entries(), maps.services.entries(), maps.backends.entries()], [[], [], []]);
  });
}

test('B41: blocks of a former agent go, and those that are known stay, all of IPv6 among them', () => {
  const { kernel, tables, view, apply } = setUp();
  const { maps } = kernel;
  apply([], [wide('a', PASSING, '::/0', '10.1.0.0/16')]);
  maps.blocks.set({ prefixLength: 32 + 96 + 8, isV4: 1, ip: parseIp('11.0.0.0') }, parseIp('100::99'));
  tables.purgeUnknown(view);
  assert.equal(maps.blocks.entries().length, 2);
});
