import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aMesh, aService } from '#model/mesh/mesh-fixtures.testing.ts';
import { type L4Route, type RouteShare, serviceKeyOf } from '#model/mesh/service.ts';
import { hasConsumerRoute, isRouted, sharesOf } from './shares.ts';

const [v1, v2] = [aService('v1', []), aService('v2', [])];
const share = (name: string | null, weight = 1, port = 80): RouteShare => ({
  service: name === null ? null : `shop/${name}.shop.svc.cluster.local`,
  port,
  weight,
});
const route = (shares: RouteShare[], change: Partial<L4Route> = {}): L4Route => ({
  transport: 'tcp',
  port: 80,
  clientNamespace: null,
  shares,
  ...change,
});

const cases: { name: string; routes: L4Route[]; client?: string; want: [string | null, number][] }[] = [
  { name: 'without a route the service itself', routes: [], want: [['cart', 1]] },
  {
    name: 'each share as often as its weight',
    routes: [route([share('v1', 9), share('v2')])],
    want: [
      ['v1', 9],
      ['v2', 1],
    ],
  }, // prettier-ignore
  { name: 'weight 0 is left out', routes: [route([share('v1', 0), share('v2', 3)])], want: [['v2', 3]] },
  { name: 'all of weight 0: refused', routes: [route([share('v1', 0), share('v2', 0)])], want: [[null, 1]] },
  { name: 'no share at all: refused', routes: [route([])], want: [[null, 1]] },
  {
    name: 'what resolves to nothing keeps its share',
    routes: [route([share(null, 2), share('v2')])],
    want: [
      [null, 2],
      ['v2', 1],
    ],
  }, // prettier-ignore
  {
    name: 'so does a service that is not known',
    routes: [route([share('gone', 2), share('v2')])],
    want: [
      [null, 2],
      ['v2', 1],
    ],
  }, // prettier-ignore
  {
    name: 'and a port that it does not have',
    routes: [route([share('v1', 2, 81), share('v2')])],
    want: [
      [null, 2],
      ['v2', 1],
    ],
  }, // prettier-ignore
  { name: 'a route of another port says nothing', routes: [route([share('v1')], { port: 81 })], want: [['cart', 1]] },
  { name: 'nor does one of another transport', routes: [route([share('v1')], { transport: 'udp' })], want: [['cart', 1]] },
  {
    name: 'a route for the client’s own namespace goes before',
    routes: [route([share('v1')]), route([share('v2')], { clientNamespace: 'web' })],
    client: 'web',
    want: [['v2', 1]],
  },
  {
    name: 'and says nothing to others',
    routes: [route([share('v1')]), route([share('v2')], { clientNamespace: 'web' })],
    want: [['v1', 1]],
  },
  {
    name: 'alone it leaves others to the service',
    routes: [route([share('v2')], { clientNamespace: 'web' })],
    want: [['cart', 1]],
  },
];
for (const { name, routes, client = 'shop', want } of cases) {
  test(`config-api 1.14: shares: ${name}`, () => {
    const cart = aService('cart', [], { routes });
    const found = sharesOf(aMesh([], [cart, v1, v2]), { service: cart, port: 80, transport: 'tcp' }, client);
    assert.deepEqual(
      found.map(({ service, weight }) => [service?.name ?? null, weight]),
      want,
    );
  });
}

test('a route of the services that one leads to is not followed', () => {
  const cart = aService('cart', [], { routes: [route([share('v1')])] });
  const routed = { ...v1, routes: [route([share('v2')])] };
  const [only] = sharesOf(aMesh([], [cart, routed, v2]), { service: cart, port: 80, transport: 'tcp' }, 'shop');
  assert.equal(only?.service?.name, 'v1');
});

test('what is routed, and for whom', () => {
  const place = (routes: L4Route[]) => ({ service: aService('cart', [], { routes }), port: 80, transport: 'tcp' }) as const;
  const routedTo = (shares: RouteShare[]): boolean => {
    const at = place([route(shares)]);
    return isRouted(sharesOf(aMesh([], [at.service, v1]), at, ''), at);
  };
  assert.deepEqual([routedTo([share('v1')]), routedTo([share('cart')]), routedTo([share(null)])], [true, false, true]);
  assert.equal(hasConsumerRoute(place([route([share('v1')])])), false);
  assert.equal(hasConsumerRoute(place([route([share('v1')], { clientNamespace: 'web' })])), true);
});

test('S9: a change of what a route leads to touches the service it is attached to, and no other', () => {
  const cart = aService('cart', [], { routes: [route([share('v1')])] });
  const mesh = aMesh([], [cart, v1, v2]);
  const touchedBy = (service: typeof v1) =>
    [
      ...mesh.apply({ workloads: new Map(), policies: new Map(), services: new Map([[serviceKeyOf(service), service]]) })
        .services,
    ].map((key) => key.split('.')[0]);
  assert.deepEqual(touchedBy(v1), ['shop/v1', 'shop/cart']);
  assert.deepEqual(touchedBy(v2), ['shop/v2']);
  touchedBy({ ...cart, routes: [] });
  assert.deepEqual(touchedBy(v1), ['shop/v1']);
});
