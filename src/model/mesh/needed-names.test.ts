import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aMesh, aService, aWorkload, endpointOf } from './mesh-fixtures.testing.ts';
import { addressIn, neededNames } from './needed-names.ts';
import type { Service } from './service.ts';
import type { Workload } from './workload.ts';

const wp = { kind: 'hostname', namespace: 'shop', hostname: 'wp.shop.svc.cluster.local', hbonePort: 15_008 } as const;
const cart = aService('cart', ['240.0.0.1']);
const v2 = aService('v2', []);
const written = (change: Partial<Workload> = {}): Workload =>
  aWorkload('written', ['10.0.2.2'], { uid: 'k/ServiceEntry/shop/x/10.0.2.2', tunnelProtocol: 'none', ...change });
const toV2 = {
  transport: 'tcp',
  port: 80,
  clientNamespace: null,
  shares: [{ service: 'shop/v2.shop.svc.cluster.local', port: 80, weight: 1 }],
} as const;

type Row = { name: string; workloads?: Workload[]; services?: Service[]; dialled?: string; network?: string; further: string[] };

const ROWS: Row[] = [
  { name: 'an address of whom nothing is known', further: [] },
  { name: 'an address of a network with a name', network: 'west', further: [] },
  { name: 'a service and its workloads', services: [cart], workloads: [aWorkload('a', ['10.0.0.9'])], further: [] },
  {
    name: 'a service that is bound to a waypoint',
    services: [{ ...cart, waypoint: wp }],
    workloads: [written({ services: endpointOf(cart) })],
    further: ['shop/wp.shop.svc.cluster.local'],
  },
  {
    name: 'a service whose waypoint has a canary',
    services: [{ ...cart, waypoint: wp, canary: { waypoint: { ...wp, hostname: 'next.shop.svc.cluster.local' }, weight: 0 } }],
    further: ['shop/wp.shop.svc.cluster.local', 'shop/next.shop.svc.cluster.local'],
  },
  {
    name: 'a waypoint that is known by its address',
    services: [{ ...cart, waypoint: { kind: 'address', network: '', address: parseIp('10.0.0.7'), hbonePort: 15_008 } }],
    further: ['/10.0.0.7'],
  },
  {
    name: 'a service whose routes lead to another',
    services: [
      { ...cart, routes: [toV2] },
      { ...v2, waypoint: wp },
    ],
    further: ['shop/v2.shop.svc.cluster.local', 'shop/wp.shop.svc.cluster.local'],
  },
  {
    name: 'a service with an endpoint that somebody wrote',
    services: [cart],
    workloads: [written({ services: endpointOf(cart) })],
    further: ['/10.0.2.2'],
  },
  {
    name: 'a service with a pod that takes no tunnels',
    services: [cart],
    workloads: [aWorkload('pod', ['10.0.2.3'], { tunnelProtocol: 'none', services: endpointOf(cart) })],
    further: [],
  },
  {
    name: 'a workload that is bound to a waypoint',
    dialled: '10.0.0.9',
    workloads: [aWorkload('a', ['10.0.0.9'], { waypoint: wp })],
    further: ['shop/wp.shop.svc.cluster.local'],
  },
  {
    name: 'an endpoint that somebody wrote, and that is dialled itself',
    dialled: '10.0.2.2',
    workloads: [written({ services: endpointOf(cart) })],
    further: ['shop/cart.shop.svc.cluster.local'],
  },
];

for (const { name, workloads = [], services = [], dialled = '240.0.0.1', network = '', further } of ROWS)
  test(`B72: to decide about ${name} takes ${further.length === 0 ? 'its address' : further.join(', ')}`, () => {
    const names = neededNames(aMesh(workloads, services), { network }, parseIp(dialled));
    assert.deepEqual([...names], [`${network}/${dialled}`, ...further]);
  });

test('the address in a name, and that other names have none', () => {
  assert.deepEqual(
    ['/10.0.0.1', 'west/fd00::1', 'shop/cart.shop.svc.cluster.local', 'k//Pod/shop/a', 'k/EndpointSlice/shop/a/10.0.0.1'].map(
      addressIn,
    ),
    ['10.0.0.1', 'fd00::1', null, null, null],
  );
});
