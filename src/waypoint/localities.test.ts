import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type LoadBalancing, serviceKeyOf } from '#model/mesh/service.ts';
import type { Locality, OutlierDetection, ServiceDestination } from '#model/waypoint/destination-settings.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, startRig, VIP } from '#waypoint/waypoint-rig.testing.ts';

const DETECTION: OutlierDetection = {
  ...{ consecutive5xx: 1, consecutiveGatewayErrors: 0, consecutiveLocalFailures: null, intervalMs: 10_000 },
  ...{ baseEjectionMs: 30_000, maxEjectionMs: 300_000, maxEjectionPercent: 100, minHealthPercent: 0 },
};
const NEAREST: Locality = { kind: 'nearest' };

function optionsOf(settings: Partial<ServiceDestination>, more: RigOptions = {}): RigOptions {
  const destinations = [{ service: CART, port: null, subset: null, ...settings }];
  return { ...more, config: { services: configOf(more).services.map((service) => ({ ...service, destinations })) } };
}

function at(place: string) {
  const [region = '', zone = '', subzone = ''] = place.split('/');
  return { region, zone, subzone };
}

/** A waypoint at `here` before a service with an endpoint at each of these places; an answer is the number of its endpoint. */
async function cart(
  t: TestContext,
  options: RigOptions,
  places: string[],
  { here = 'r1/z1', loadBalancing = null }: { here?: string; loadBalancing?: LoadBalancing | null } = {},
): Promise<{ rig: Rig; failing: Set<number>; move(to: string): void }> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  const failing = new Set<number>();
  const ports: number[] = [];
  for (const number of places.keys()) {
    const answer = await startApp(t, (_, response) => void response.writeHead(failing.has(number) ? 500 : 200).end(`${number}`));
    ports.push(answer.port);
  }
  const waypoint = {
    kind: 'hostname',
    namespace: 'shop',
    hostname: 'waypoint.shop.svc.cluster.local',
    hbonePort: 15_008,
  } as const;
  const ofCart = aService('cart', [VIP], {
    ports: [{ servicePort: 80, targetPort: 0, appProtocol: 'http11' }],
    waypoint,
    loadBalancing,
  });
  const own = aService('waypoint', ['10.96.9.9'], { ports: [{ servicePort: 15_008, targetPort: 15_008, appProtocol: 'tcp' }] });
  const endpoints = places.map((place, number) =>
    aWorkload(`cart-${number}`, ['127.0.0.1'], {
      locality: at(place),
      services: new Map([[serviceKeyOf(ofCart), [{ servicePort: 80, targetPort: ports[number] ?? 0 }]]]),
    }),
  );
  // What the mesh says of the waypoint's own workload is where it is.
  const self = (place: string) =>
    aWorkload('way', ['10.0.9.1'], {
      locality: at(place),
      services: new Map([[serviceKeyOf(own), [{ servicePort: 15_008, targetPort: 15_008 }]]]),
    });
  const bring = (delta: Parameters<Rig['mesh']['apply']>[0]): void => rig.waypoint.meshChanged(rig.mesh.apply(delta));
  bring(deltaOf([self(here), ...endpoints], [own, ofCart]));
  return {
    rig,
    failing,
    move(to) {
      bring(deltaOf([self(to)]));
      rig.clock.advance(1_000);
    },
  };
}

/** How often each endpoint answered, by its number. */
async function spread(rig: Rig, requests: number, ...args: string[]): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  for (let request = 0; request < requests; request++) {
    const { body } = await curl(rig.port, '/', ...args);
    seen[body] = (seen[body] ?? 0) + 1;
  }
  return seen;
}

/** Draws all of a hundred numbers evenly, each in its turn, so that shares are exact; least request draws two more. */
function evenly(): () => number {
  let drawn = 0;
  return () => ((drawn++ * 37) % 100) / 100;
}

test('W51 with 3 of 4 near endpoints well all requests stay near; with 2 of 4, 30 % go to the next locality', async (t) => {
  const near = 'r1/z1';
  const places = [near, near, near, near, 'r1/z2', 'r2/z1'];
  const settings = { outlierDetection: DETECTION, locality: NEAREST, balancer: { kind: 'random' } as const };
  const { rig, failing } = await cart(t, optionsOf(settings, { random: evenly() }), places);
  const nearOnes = ({ 0: a = 0, 1: b = 0, 2: c = 0, 3: d = 0 }: Record<string, number>) => a + b + c + d;
  assert.equal(nearOnes(await spread(rig, 8)), 8);
  const fail = async (number: number): Promise<void> => {
    failing.add(number);
    const before = rig.waypoint.meters.total('weft_outlier_ejections_total');
    while (rig.waypoint.meters.total('weft_outlier_ejections_total') === before) await curl(rig.port, '/');
  };
  await fail(0);
  const three = await spread(rig, 12);
  assert.deepEqual([nearOnes(three), three[0]], [12, undefined]);
  await fail(1);
  const two = await spread(rig, 50);
  // Of a hundred draws that are spread evenly every other one chooses the locality: 30 of 100 fall to the next one, and none further.
  assert.deepEqual([two[0], two[1], two[5]], [undefined, undefined, undefined]);
  assert.ok((two[4] ?? 0) >= 13 && (two[4] ?? 0) <= 17, JSON.stringify(two));
  failing.clear();
  rig.clock.advance(60_000);
  assert.equal(nearOnes(await spread(rig, 12)), 12);
});

test('W52 without detection nobody is preferred, except by shares', async (t) => {
  const places = ['r1/z1', 'r2/z1', 'r3/z1'];
  const { rig } = await cart(t, optionsOf({ balancer: { kind: 'round-robin', warmup: null } }, { random: () => 0 }), places);
  assert.deepEqual(await spread(rig, 6), { 0: 2, 1: 2, 2: 2 });
  const to = [
    { place: 'r1', weight: 20 },
    { place: 'r2/*', weight: 80 },
  ];
  const shares: Locality = { kind: 'distribute', shares: [{ from: 'r1/*', to }] };
  const other = await cart(t, optionsOf({ locality: shares }, { random: evenly() }), places);
  const seen = await spread(other.rig, 50);
  assert.deepEqual([(seen[0] ?? 0) + (seen[1] ?? 0), seen[2]], [50, undefined]);
  assert.ok((seen[0] ?? 0) >= 8 && (seen[0] ?? 0) <= 12, JSON.stringify(seen));
});

test('W51 a region is left for the one that is named for it; and the waypoint follows its own workload', async (t) => {
  const places = ['r1/z1', 'r2/z1', 'r3/z1'];
  const locality: Locality = { kind: 'failover', regions: [{ from: 'r1', to: 'r3' }] };
  const { rig, failing, move } = await cart(t, optionsOf({ outlierDetection: DETECTION, locality }), places);
  assert.deepEqual(await spread(rig, 4), { 0: 4 });
  failing.add(0);
  await spread(rig, 1);
  assert.deepEqual(await spread(rig, 4), { 2: 4 });
  move('r2/z1');
  assert.deepEqual(await spread(rig, 4), { 1: 4 });
});

test('W51 with nobody left there is nobody; with minHealthPercent all of them serve, the near ones first', async (t) => {
  for (const [minHealthPercent, status] of [
    [0, 503],
    [50, 500],
  ] as const) {
    const outlierDetection = { ...DETECTION, minHealthPercent };
    const { rig, failing } = await cart(t, optionsOf({ outlierDetection, locality: NEAREST }), ['r1/z1', 'r2/z1']);
    failing.add(0).add(1);
    await spread(rig, 2);
    assert.equal((await curl(rig.port, '/')).status, status);
  }
});

test('W51 what its service prefers goes on to the next locality when it fails; what it demands does not', async (t) => {
  const preference = { mode: 'failover', routingPreference: ['network', 'region', 'zone'], allowUnhealthy: false } as const;
  const settings = { outlierDetection: DETECTION, locality: NEAREST };
  const prefers = await cart(t, optionsOf(settings), ['r1/z1', 'r1/z2'], { loadBalancing: preference });
  assert.deepEqual(await spread(prefers.rig, 3), { 0: 3 });
  prefers.failing.add(0);
  await spread(prefers.rig, 1);
  assert.deepEqual(await spread(prefers.rig, 3), { 1: 3 });
  const strict = { mode: 'strict', routingPreference: ['zone'], allowUnhealthy: false } as const;
  const demands = await cart(t, optionsOf(settings), ['r1/z1', 'r1/z2'], { loadBalancing: strict });
  demands.failing.add(0);
  await spread(demands.rig, 1);
  assert.equal((await curl(demands.rig.port, '/')).status, 503);
});

test('W51 requests that are kept together stay in one locality', async (t) => {
  const to = [
    { place: 'r1', weight: 50 },
    { place: 'r2', weight: 50 },
  ];
  const balancer = { kind: 'hash', key: { kind: 'header', name: 'x-user' }, table: { kind: 'ring', size: 1_024 } } as const;
  const locality: Locality = { kind: 'distribute', shares: [{ from: '*', to }] };
  const { rig } = await cart(t, optionsOf({ balancer, locality }), ['r1/z1', 'r2/z1', 'r1/z1', 'r2/z1']);
  const seen = new Set<string>();
  for (let user = 0; user < 16; user++) {
    const of = await spread(rig, 3, '-H', `x-user: ${user}`);
    assert.equal(Object.keys(of).length, 1);
    seen.add(Object.keys(of).join());
  }
  assert.equal(seen.size, 4);
});
