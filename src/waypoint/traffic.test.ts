import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { parseIdentity } from '#model/identity/identity.ts';
import { aService, aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { WaypointService } from '#model/waypoint/config.ts';
import type { Fault, RateLimit, RateLimitRule, TrafficMatch } from '#model/waypoint/traffic.ts';
import { type App, curl, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client } from '#waypoint/http2-clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, settle, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

const EVERYTHING: TrafficMatch = { methods: [], path: null, headers: [], queryParams: [], namespaces: [], serviceAccounts: [] };

function limit(change: Partial<RateLimitRule> = {}, more: Partial<RateLimit> = {}): RateLimit {
  const one = { name: 'all', match: null, key: [], requests: 10, windowMs: 1_000, burst: 2, perReplica: false, shadow: false };
  return { policy: 'shop/p', responseHeaders: false, rules: [{ ...one, ...change }], ...more };
}

type Said = { rateLimit?: RateLimit; fault?: Fault; port?: number | null };

/** `cart` under these policies. */
function under(...said: Said[]): Partial<WaypointService>['traffic'] {
  return said.map(({ rateLimit = null, fault = null, port = null }) => ({ rateLimit, fault, port }));
}

function optionsOf(traffic: WaypointService['traffic'], more: RigOptions = {}): RigOptions {
  const { services } = configOf(more);
  return { ...more, config: { services: services.map((service) => ({ ...service, ...(traffic && { traffic }) })) } };
}

async function cart(t: TestContext, options: RigOptions): Promise<{ rig: Rig; app: App }> {
  const rig = await startRig(options);
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  return { rig, app };
}

const statuses = async (rig: Rig, count: number, ...args: string[]): Promise<number[]> => {
  const seen: number[] = [];
  for (let request = 0; request < count; request++) seen.push((await curl(rig.port, '/', ...args)).status);
  return seen;
};

test('W58 past its burst a request is 429 with what to do, and the bucket fills', async (t) => {
  const { rig, app } = await cart(t, optionsOf(under({ rateLimit: limit({}, { responseHeaders: true }) })));
  assert.deepEqual(await statuses(rig, 2), [200, 200]);
  const refused = await curl(rig.port, '/');
  assert.deepEqual([refused.status, refused.body], [429, 'local_rate_limited']);
  assert.match(refused.headers, /retry-after: 1\r/);
  assert.match(refused.headers, /x-envoy-ratelimited: true\r/);
  assert.match(refused.headers, /x-ratelimit-limit: 10, 10;w=1;name="all"\r/);
  assert.match(refused.headers, /x-ratelimit-remaining: 0\r/);
  assert.equal(rig.lines.at(-1)?.response_flags, 'RL');
  rig.clock.advance(100);
  assert.deepEqual(await statuses(rig, 2), [200, 429]);
  assert.equal(app.heard.length, 3);
  assert.equal(rig.waypoint.meters.total('weft_rate_limited_total'), 2);
  const client = await http2Client(t, rig.port);
  const grpc = await ask2(client, { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' }, 'x');
  assert.deepEqual([grpc.status, grpc.headers['grpc-status']], [200, '8']);
});

test('W58 a change of the limit keeps the fill of its buckets, as does a change of anything else', async (t) => {
  const options = (requests: number) => optionsOf(under({ rateLimit: limit({ requests, burst: requests }) }));
  const { rig } = await cart(t, options(3));
  assert.deepEqual(await statuses(rig, 4), [200, 200, 200, 429]);
  rig.waypoint.configure(configOf(options(5)));
  assert.deepEqual(await statuses(rig, 1), [429]);
  rig.clock.advance(200);
  assert.deepEqual(await statuses(rig, 2), [200, 429]);
});

test('W58 keys tell clients apart; matches, shadow rules and ports', async (t) => {
  const byUser = limit({ burst: 1, key: [{ type: 'header', name: 'x-user' }, { type: 'service-account' }] });
  const { rig } = await cart(t, optionsOf(under({ rateLimit: byUser })));
  assert.deepEqual(await statuses(rig, 2, '-H', 'x-user: a'), [200, 429]);
  assert.deepEqual(await statuses(rig, 2, '-H', 'x-user: b'), [200, 429]);
  rig.peer = parseIdentity('spiffe://cluster.local/ns/bank/sa/teller');
  assert.deepEqual(await statuses(rig, 1, '-H', 'x-user: a'), [200]);
  const posts = limit({ burst: 1, match: { ...EVERYTHING, methods: ['POST'], namespaces: ['bank'] } });
  rig.waypoint.configure(configOf(optionsOf(under({ rateLimit: posts }))));
  assert.deepEqual(await statuses(rig, 2), [200, 200]);
  assert.deepEqual(await statuses(rig, 2, '-d', 'x'), [200, 429]);
  rig.waypoint.configure(configOf(optionsOf(under({ rateLimit: limit({ name: 'seen', burst: 1, shadow: true }) }))));
  assert.deepEqual(await statuses(rig, 3), [200, 200, 200]);
  const ports = under({ rateLimit: limit({ name: 'x', burst: 1 }) }, { rateLimit: limit({ name: 'y', burst: 3 }), port: 80 });
  rig.waypoint.configure(configOf(optionsOf(ports)));
  assert.deepEqual(await statuses(rig, 4), [200, 200, 200, 429]);
});

test('W58 what is said of a rule of a route goes before what is said of the service', async (t) => {
  const traffic = { rateLimit: limit({ name: 'rule', burst: 1 }), fault: null };
  const routes = [rule({ path: { type: 'exact', value: '/' } }, [to('cart')], { traffic }), rule({}, [to('cart')])];
  const { rig } = await cart(t, optionsOf(under({ rateLimit: limit({ burst: 2 }) }), { routes }));
  assert.deepEqual(await statuses(rig, 2), [200, 429]);
  const others = [await curl(rig.port, '/x'), await curl(rig.port, '/x'), await curl(rig.port, '/x')];
  assert.deepEqual(
    others.map(({ status }) => status),
    [200, 200, 429],
  );
});

test('W58 what is said of the waypoint counts the requests to all of its services together, beside what is said of each', async (t) => {
  const options = optionsOf(under({ rateLimit: limit({ name: 'own', burst: 3 }, { responseHeaders: true }) }));
  const whole = (burst: number): RigOptions => ({
    config: { ...options.config, rateLimit: limit({ name: 'whole', burst }, { policy: 'shop/all' }) },
  });
  const { rig } = await cart(t, whole(2));
  const first = await curl(rig.port, '/');
  // Clients hear of the one that leaves least.
  assert.match(first.headers, /x-ratelimit-limit: 10, 10;w=1;name="whole"\r/);
  assert.deepEqual(await statuses(rig, 2), [200, 429]);
  assert.equal(rig.waypoint.meters.total('weft_rate_limited_total'), 1);
  // A change of it keeps the fill, and where it is lifted the service's own goes on.
  rig.waypoint.configure(configOf(whole(5)));
  assert.deepEqual(await statuses(rig, 1), [429]);
  rig.waypoint.configure(configOf(options));
  rig.clock.advance(100);
  assert.deepEqual(await statuses(rig, 2), [200, 429]);
});

test('W58 replicas share a limit', async (t) => {
  const { rig } = await cart(t, optionsOf(under({ rateLimit: limit({ burst: 4 }) })));
  const own = aService('waypoint', ['10.96.9.9'], { ports: [{ servicePort: 15_008, targetPort: 15_008, appProtocol: 'tcp' }] });
  const services = new Map([[serviceKeyOf(own), [{ servicePort: 15_008, targetPort: 15_008 }]]]);
  const members = ['10.0.9.1', '10.0.9.2'].map((ip, at) => aWorkload(`way-${at}`, [ip], { services }));
  rig.waypoint.meshChanged(rig.mesh.apply(deltaOf(members, [own])));
  assert.deepEqual(await statuses(rig, 3), [200, 200, 429]);
});

test('W58 who is denied takes nothing from a bucket', async (t) => {
  const deny = { from: [], to: [], when: [{ key: 'request.headers[x-bad]', values: ['*'], notValues: [] }] };
  const policies = [{ namespace: 'shop', name: 'p', action: 'deny' as const, dryRun: false, rules: [deny] }];
  const { rig } = await cart(t, optionsOf(under({ rateLimit: limit({ burst: 1 }) }), { policies }));
  assert.deepEqual(await statuses(rig, 3, '-H', 'x-bad: 1'), [403, 403, 403]);
  assert.deepEqual(await statuses(rig, 2), [200, 429]);
});

const FAULT: Fault = { policy: 'shop/p', match: null, delay: null, abort: null };

test('W61 an abort is the status that is asked for, by header where the policy says so, and the app hears nothing', async (t) => {
  const match = { ...EVERYTHING, headers: [{ name: 'x-fault', type: 'exact' as const, value: '1' }] };
  const fault = { ...FAULT, match, abort: { status: 418, grpcStatus: null, percentage: 100 } };
  const { rig, app } = await cart(t, optionsOf(under({ fault })));
  assert.deepEqual(await statuses(rig, 1), [200]);
  const aborted = await curl(rig.port, '/', '-H', 'x-fault: 1', '-d', 'body');
  assert.deepEqual([aborted.status, aborted.body], [418, 'fault filter abort']);
  assert.deepEqual([rig.lines.at(-1)?.response_flags, rig.lines.at(-1)?.response_code_details], ['FI', 'fault_filter_abort']);
  assert.equal(app.heard.length, 1);
  const asGrpc = { ...FAULT, abort: { status: null, grpcStatus: 5, percentage: 100 } };
  rig.waypoint.configure(configOf(optionsOf(under({ fault: asGrpc }))));
  assert.deepEqual(await statuses(rig, 1), [404]);
  const call = { ':path': '/a.B/C', ':method': 'POST', 'content-type': 'application/grpc' };
  const answer = await ask2(await http2Client(t, rig.port), call, 'x');
  assert.deepEqual([answer.status, answer.headers['grpc-status']], [200, '5']);
});

test('W61 half of the requests, drawn one by one', async (t) => {
  let draw = 0;
  const fault = { ...FAULT, abort: { status: 503, grpcStatus: null, percentage: 50 } };
  const { rig } = await cart(t, { ...optionsOf(under({ fault })), random: () => (draw++ % 2 === 0 ? 0.2 : 0.7) });
  assert.ok((await statuses(rig, 6)).filter((status) => status === 503).length >= 2);
});

test('W60 a delay comes before the route’s time-out, ends with the client, and may be followed by an abort', async (t) => {
  const fault = { ...FAULT, delay: { durationMs: 2_000, percentage: 100 } };
  const { rig } = await cart(t, optionsOf(under({ fault }), { routes: [rule({}, [to('cart')], { requestTimeoutMs: 1_000 })] }));
  const slow = await startRawApp(t, (socket) => socket.resume());
  const asked = curl(rig.port, '/');
  await until(() => rig.waypoint.counters.openRequests === 1);
  rig.clock.advance(1_999);
  await settle();
  assert.equal(rig.waypoint.counters.upstreamConnections, 0);
  rig.clock.advance(1);
  assert.equal((await asked).status, 200);
  rig.endpoints([slow]);
  const late = curl(rig.port, '/');
  await until(() => rig.waypoint.counters.openRequests === 1);
  rig.clock.advance(2_000);
  await until(() => rig.waypoint.counters.upstreamConnections === 2);
  await settle();
  rig.clock.advance(1_000);
  assert.equal((await late).status, 504);
  const gone = curl(rig.port, '/', '--max-time', '0.2');
  await gone;
  await until(() => rig.waypoint.counters.openRequests === 0);
  rig.clock.advance(2_000);
  await settle();
  assert.equal(rig.waypoint.counters.upstreamConnections, 2);
  const both = { ...fault, abort: { status: 500, grpcStatus: null, percentage: 100 } };
  rig.waypoint.configure(configOf(optionsOf(under({ fault: both }))));
  const aborted = curl(rig.port, '/');
  await until(() => rig.waypoint.counters.openRequests === 1);
  rig.clock.advance(2_000);
  assert.equal((await aborted).status, 500);
});

test('W61 who is denied is refused at once, without the delay', async (t) => {
  const policies = [{ namespace: 'shop', name: 'p', action: 'allow' as const, dryRun: false, rules: [] }];
  const fault = { ...FAULT, delay: { durationMs: 60_000, percentage: 100 } };
  const { rig } = await cart(t, optionsOf(under({ fault }), { policies }));
  assert.deepEqual(await statuses(rig, 1), [403]);
});

test('a service that no TrafficPolicy names is as it was', async (t) => {
  const { rig } = await cart(t, {});
  assert.deepEqual(await statuses(rig, 2), [200, 200]);
  assert.ok(rig.mesh.service(CART) !== null);
});
