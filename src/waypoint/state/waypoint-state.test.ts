import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseIp } from '#model/address/ip.ts';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { MeshState } from '#model/mesh/mesh-state.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { WaypointConfig } from '#model/waypoint/config.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import { WaypointState } from '#waypoint/state/waypoint-state.ts';

const CART = serviceKeyOf(aService('cart', ['10.96.0.10']));
const IP = parseIp('10.0.0.1');

type Counter = { value: number };

/** A state in which a feature counts per service and per endpoint. */
function countingState() {
  const mesh = new MeshState();
  const state = new WaypointState(mesh);
  const dropped: number[] = [];
  const life = {
    make: (): Counter => ({ value: 0 }),
    drop: ({ value }: Counter): void => {
      dropped.push(value);
    },
  };
  const ofService = state.perService.keep<Counter>(life);
  const ofEndpoint = state.perEndpoint.keep<Counter>(life);
  const learn = (...delta: Parameters<typeof deltaOf>): void => state.meshChanged(mesh.apply(deltaOf(...delta)));
  const forget = (uid: string): void => state.meshChanged(mesh.apply({ ...deltaOf([], []), workloads: new Map([[uid, null]]) }));
  const withdraw = (): void => state.meshChanged(mesh.apply({ ...deltaOf([], []), services: new Map([[CART, null]]) }));
  return { mesh, state, dropped, ofService, ofEndpoint, learn, forget, withdraw };
}

function cartPod(targetPort: number, change: Partial<Workload> = {}): Workload {
  return aWorkload('cart-0', [IP], { services: new Map([[CART, [{ servicePort: 80, targetPort }]]]), ...change });
}

function configured(number: number, services: readonly string[] = [CART]): WaypointConfig {
  const rule = {
    name: `version-${number}`,
    matches: [],
    backends: [{ service: CART, port: 80, weight: number + 1 }],
    requestHeaders: null,
    responseHeaders: null,
    requestTimeoutMs: null,
  };
  const route = { namespace: 'shop', name: 'r', ports: null, clientNamespace: null, rules: [rule] };
  return {
    namespace: 'shop',
    gateway: 'waypoint',
    trustDomain: 'cluster.local',
    pathNormalization: 'BASE',
    services: services.map((key) => ({ key, routes: [route], policies: [] })),
    policies: [],
  };
}

const noProblem = (why: string): void => assert.fail(why);

test('state: a feature’s counters survive 1,000 new configurations and as many changes of the mesh', () => {
  const { state, dropped, ofService, ofEndpoint, learn } = countingState();
  learn([cartPod(8080)], [aService('cart', ['10.96.0.10'])]);
  for (let number = 0; number < 1_000; number++) {
    state.configure(configured(number), noProblem);
    learn([cartPod(8080, { capacity: (number % 3) + 1 })], [aService('cart', ['10.96.0.10', `10.96.1.${number % 250}`])]);
    const service = state.service(CART);
    assert.ok(service !== null);
    ofService.of(service).value++;
    ofEndpoint.of(state.endpoint(cartPod(8080), IP, 8080)).value++;
    state.forgetIdle();
  }
  const service = state.service(CART);
  assert.equal(service === null ? null : ofService.of(service).value, 1_000);
  assert.equal(ofEndpoint.of(state.endpoint(cartPod(8080), IP, 8080)).value, 1_000);
  assert.deepEqual(dropped, []);
  assert.deepEqual(state.counts, { services: 1, endpoints: 1 });
});

test('state: a counter is dropped when its service leaves the mesh and the configuration, not before', () => {
  const { state, dropped, ofService, learn, withdraw } = countingState();
  learn([], [aService('cart', ['10.96.0.10'])]);
  const count = (): number | null => {
    const service = state.service(CART);
    return service === null ? null : ++ofService.of(service).value;
  };
  state.configure(configured(1), noProblem);
  assert.equal(count(), 1);
  state.configure(configured(2, []), noProblem); // no longer bound, but still somebody's backend
  assert.equal(count(), 2);
  state.configure(configured(3), noProblem);
  withdraw(); // bound, though the mesh has lost it for a moment
  assert.equal(count(), 3);
  state.configure(null, noProblem);
  assert.deepEqual(dropped, [3]);
  assert.equal(count(), null);
  state.configure(configured(4), noProblem);
  assert.equal(count(), 1);
});

test('state: what is bound finds what outlives the configuration', () => {
  const { state, learn } = countingState();
  learn([], [aService('cart', ['10.96.0.10'])]);
  const first = state.configure(configured(1), noProblem).services.get(CART);
  const second = state.configure(configured(2), noProblem).services.get(CART);
  assert.notEqual(first, second);
  assert.ok(first !== undefined);
  assert.equal(first.state, second?.state);
});

test('state: what a stage compiles of a configuration is compiled once for each, problems told at once', () => {
  const { state } = countingState();
  let compiled = 0;
  const names = state.bindings.keep({
    make: ({ config, problem }) => {
      compiled++;
      problem('unusable');
      return config.routes[0]?.rules[0]?.name ?? '';
    },
  });
  const problems: string[] = [];
  const bound = state.configure(configured(1), (why) => problems.push(why)).services.get(CART);
  assert.ok(bound !== undefined);
  assert.deepEqual([names.of(bound), names.of(bound), compiled, problems], ['version-1', 'version-1', 1, ['unusable']]);
});

const STAYS: { name: string; change: Partial<Workload>; stays: boolean }[] = [
  { name: 'it changes its weight', change: { capacity: 3 }, stays: true },
  { name: 'it becomes unhealthy', change: { healthy: false }, stays: true },
  { name: 'it moves to another node', change: { node: 'two' }, stays: false },
  { name: 'it becomes somebody else', change: { serviceAccount: 'other' }, stays: false },
  { name: 'it is reached another way', change: { tunnelProtocol: 'none' }, stays: false },
  { name: 'its address changes', change: { addresses: [parseIp('10.0.0.2')] }, stays: false },
];

for (const { name, change, stays } of STAYS) {
  test(`state: an endpoint ${stays ? 'keeps' : 'loses'} what is known of it when ${name}`, () => {
    const { state, dropped, ofEndpoint, learn } = countingState();
    learn([cartPod(8080)], [aService('cart', ['10.96.0.10'])]);
    const before = state.endpoint(cartPod(8080), IP, 8080);
    before.active = 1;
    ofEndpoint.of(before).value = 7;
    learn([cartPod(8080, change)], []);
    assert.equal(before.gone, !stays);
    assert.deepEqual(dropped, stays ? [] : [7]);
    const after = state.endpoint(cartPod(8080, change), IP, 8080);
    assert.equal(after === before, stays);
    assert.equal(after.active, stays ? 1 : 0);
  });
}

test('state: an endpoint leaves with its workload, used or not', () => {
  const { state, dropped, ofEndpoint, learn, forget } = countingState();
  const pod = cartPod(8080);
  learn([pod], [aService('cart', ['10.96.0.10'])]);
  const endpoint = state.endpoint(pod, IP, 8080);
  endpoint.active = 1;
  ofEndpoint.of(endpoint).value = 5;
  forget(pod.uid);
  assert.deepEqual([endpoint.gone, dropped, state.counts], [true, [5], { services: 0, endpoints: 0 }]);
});

test('state: an idle endpoint that no service port leads to is forgotten, one in use is not', () => {
  const { state, dropped, ofEndpoint, learn } = countingState();
  learn([cartPod(8080)], [aService('cart', ['10.96.0.10'])]);
  const at = (port: number): UpstreamEndpoint => state.endpoint(cartPod(8080), IP, port);
  const [offered, dialled, busy] = [at(8080), at(9000), at(9001)];
  for (const endpoint of [offered, dialled, busy]) ofEndpoint.of(endpoint).value = endpoint.port;
  busy.active = 1;
  state.forgetIdle();
  assert.deepEqual(dropped, [9000]);
  assert.deepEqual([offered.gone, dialled.gone, busy.gone], [false, true, false]);
  learn([cartPod(8081)], []); // the service port leads elsewhere now
  busy.active = 0;
  state.forgetIdle();
  assert.deepEqual(dropped, [9000, 8080, 9001]);
  assert.equal(state.counts.endpoints, 0);
});

test('state: memory does not grow with configurations, nor with ports that come and go', () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const { state, ofService, ofEndpoint, learn } = countingState();
  const change = (number: number): void => {
    state.configure(configured(number), noProblem);
    learn([cartPod(8000 + number)], [aService('cart', ['10.96.0.10'])]);
    const service = state.service(CART);
    if (service !== null) ofService.of(service).value++;
    ofEndpoint.of(state.endpoint(cartPod(8000 + number), IP, 8000 + number)).value++;
    state.forgetIdle();
  };
  const heapAfter = (from: number): number => {
    for (let number = from; number < from + 1_000; number++) change(number);
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  heapAfter(0);
  const before = heapAfter(1_000);
  const grown = heapAfter(2_000) - before;
  assert.ok(grown < 200_000, `the heap grew by ${grown} bytes in 1,000 changes`);
  assert.deepEqual(state.counts, { services: 1, endpoints: 1 });
});

test('what is in force stays as it is until all of the next configuration is there, also when that fails', () => {
  const { state, learn } = countingState();
  learn([], [aService('cart', ['10.96.0.10'])]);
  const inForce = state.configure(configured(0), () => {}).services;
  const bound = inForce.get(CART);
  const { services, ...base } = configured(1);
  const [service] = services;
  assert.ok(service !== undefined && bound !== undefined);
  state.next.begin(base);
  state.next.add(service, () => {});
  assert.equal(state.snapshot.services.get(CART), bound);
  assert.equal(bound.state.key, CART);
  const broken = { ...service, telemetry: null as never };
  Object.defineProperty(broken, 'telemetry', { get: () => assert.fail('it cannot be compiled') });
  assert.throws(() => state.next.add(broken, () => {}));
  assert.throws(() => state.putInForce([CART]));
  assert.equal(state.snapshot.services.get(CART), bound);
});
