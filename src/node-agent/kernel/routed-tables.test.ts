import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { SERVICE_FLAG } from '#model/kernel/abi.ts';
import { aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import type { L4Route, Service } from '#model/mesh/service.ts';
import { IdTable } from '#model/path/ids.ts';
import { memoryKernel } from './memory-kernel.testing.ts';
import { KernelTables } from './tables.ts';

const [v1, v2] = [aService('v1', ['240.0.0.2']), aService('v2', [])];
const route = (weights: Record<string, number>, clientNamespace: string | null = null): L4Route => ({
  transport: 'tcp',
  port: 80,
  clientNamespace,
  shares: Object.entries(weights).map(([name, weight]) => ({ service: `shop/${name}.shop.svc.cluster.local`, port: 80, weight })),
});
const routed = (...routes: L4Route[]): Service => aService('cart', ['240.0.0.1'], { routes });
const KEY = { ip: parseIp('240.0.0.1'), port: 80, protocol: 6 };
const endpoint = (service: Service, n: number) =>
  aWorkload(`${service.name}-${n}`, [`10.0.0.${n}`], { services: endpointOf(service) });

function setUp(services: Service[]) {
  const { maps } = memoryKernel();
  const mesh = new MeshState();
  const tables = new KernelTables(maps, SILENT_LOG);
  const location = { node: 'one', clusterId: '', network: '', locality: { region: '', zone: '', subzone: '' } };
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
  const gone = (...keys: string[]): void =>
    tables.refresh(mesh.apply({ ...deltaOf([]), workloads: new Map(keys.map((name) => [`k//Pod/shop/${name}`, null])) }), view);
  /** Every address that the kernel may draw, with its chance in per cent; `refused` among them. */
  const chances = (): Record<string, number> => {
    const found: Record<string, number> = {};
    const add = (name: string, chance: number): void => {
      found[name] = Math.round(((found[name] ?? 0) + 100 * chance) * 10) / 10;
    };
    const entry = maps.services.get(KEY) ?? assert.fail('no service');
    for (let at = 0; at < entry.backendCount; at++) {
      const split = maps.splits.get({ serviceId: entry.id, slot: at }) ?? assert.fail(`no split ${at}`);
      if (split.backendCount === 0) add('refused', 1 / entry.backendCount);
      for (let slot = 0; slot < split.backendCount; slot++) {
        const backend = maps.backends.get({ serviceId: split.setId, slot }) ?? assert.fail(`no slot ${slot}`);
        add(backend.ip ?? '', 1 / entry.backendCount / split.backendCount);
      }
    }
    return found;
  };
  apply([], services);
  return { maps, tables, view, apply, gone, chances };
}

test('a route draws a service by its weight, then one of its endpoints', () => {
  const { maps, apply, gone, chances } = setUp([routed(route({ v1: 90, v2: 10 })), v1, v2]);
  assert.equal(maps.services.get(KEY)?.flags, SERVICE_FLAG.split);
  assert.deepEqual(chances(), { refused: 100 });
  apply([endpoint(v1, 1)]);
  assert.deepEqual(chances(), { '10.0.0.1': 90, refused: 10 }, 'who has no endpoint keeps the share');
  apply([endpoint(v1, 2), endpoint(v2, 3)]);
  assert.deepEqual(chances(), { '10.0.0.1': 45, '10.0.0.2': 45, '10.0.0.3': 10 });
  gone('v1-1');
  assert.deepEqual(chances(), { '10.0.0.2': 90, '10.0.0.3': 10 });
  assert.equal(maps.backends.entries().length, 2, 'the service itself and the route use the same slots');
});

test('what a route leads to no more leaves no slot', () => {
  const { maps, apply, chances } = setUp([routed(route({ v1: 3, v2: 1 })), v1, v2]);
  apply([endpoint(v1, 1), endpoint(v2, 3)]);
  apply([], [routed(route({ v1: 1 }))]);
  assert.deepEqual(chances(), { '10.0.0.1': 100 });
  assert.deepEqual([maps.splits.entries().length, maps.backends.entries().length], [1, 1]);
  apply([], [routed()]);
  assert.equal(maps.splits.entries().length, 0);
  assert.equal(maps.services.get(KEY)?.flags, 0);
  assert.equal(maps.backends.entries().length, 1, 'v1 by its own address');
});

test('S9: one endpoint more behind a route of thousands is a slot and a count', () => {
  const { maps, apply } = setUp([routed(route({ v1: 1, v2: 1 })), v1, v2]);
  apply(Array.from({ length: 250 }, (_, at) => endpoint(v1, at + 1)));
  const writes = { splits: 0, backends: 0 };
  for (const name of ['splits', 'backends'] as const) {
    const table = maps[name] as { set(key: unknown, value: unknown): void };
    const set = table.set.bind(table);
    table.set = (key, value) => {
      writes[name]++;
      set(key, value);
    };
  }
  apply([aWorkload('v1-x', ['10.0.1.1'], { services: endpointOf(v1) })]);
  assert.deepEqual(writes, { splits: 1, backends: 1 });
});

test('K76: how long clients keep their backend is there while a port of the service says so', () => {
  const cart = (affinityTimeoutS: number, change: Partial<Service> = {}): Service =>
    aService('cart', ['240.0.0.1', '240.0.0.9'], { affinityTimeoutS, ...change });
  const { maps, tables, view, apply } = setUp([cart(60)]);
  const told = (): unknown[] => [
    ...maps.affinities.entries().map(([id, seconds]) => [id === maps.services.get(KEY)?.id, seconds]),
    maps.services.get(KEY)?.flags,
  ];
  assert.deepEqual(told(), [[true, 60], SERVICE_FLAG.affinity], 'one number for both addresses');
  apply([], [cart(90)]);
  assert.deepEqual(told(), [[true, 90], SERVICE_FLAG.affinity]);
  apply([], [cart(90, { routes: [route({ v1: 1 })] }), v1]);
  assert.deepEqual(told(), [[true, 90], SERVICE_FLAG.affinity | SERVICE_FLAG.split], 'of the route, which has another number');
  maps.affinities.set(9_999, 1);
  tables.purgeUnknown(view);
  assert.deepEqual(told().length, 2, 'what a former agent left goes');
  apply([], [cart(90, { addresses: [parseIp('240.0.0.9')] })]);
  assert.equal(maps.affinities.entries().length, 1, 'the other address is still there');
  apply([], [cart(0, { addresses: [parseIp('240.0.0.9')] })]);
  assert.deepEqual(maps.affinities.entries(), []);
});

const byAgent: { name: string; services: Service[] }[] = [
  { name: 'it depends on the client’s namespace', services: [routed(route({ v1: 1 }), route({ v2: 1 }, 'web')), v1, v2] },
  {
    name: 'a waypoint stands before what it leads to',
    services: [
      routed(route({ v1: 1, v2: 1 })),
      v1,
      { ...v2, waypoint: { kind: 'hostname', namespace: 'shop', hostname: 'w', hbonePort: 15_008 } },
    ],
  },
  { name: 'its weights take more slots than there may be', services: [routed(route({ v1: 99_991, v2: 7 })), v1, v2] },
];
for (const { name, services } of byAgent) {
  test(`a route is left to the agent where ${name}`, () => {
    const { maps, apply } = setUp(services);
    apply([endpoint(v1, 1), endpoint(v2, 2)]);
    assert.deepEqual([maps.services.get(KEY)?.flags, maps.splits.entries().length], [SERVICE_FLAG.agent, 0]);
  });
}

test('purging after adoption keeps what routes draw, and nothing of what is forgotten', () => {
  const { maps, tables, view, apply, chances } = setUp([routed(route({ v1: 1 })), v1, v2]);
  apply([endpoint(v1, 1)]);
  maps.splits.set({ serviceId: 9_999, slot: 0 }, { setId: 1, backendCount: 1 });
  maps.backends.set({ serviceId: 9_999, slot: 0 }, { ip: parseIp('10.0.0.9'), port: 1 });
  tables.purgeUnknown(view);
  assert.deepEqual(chances(), { '10.0.0.1': 100 });
  assert.deepEqual([maps.splits.entries().length, maps.backends.entries().length], [1, 1]);
});
