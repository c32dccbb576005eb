import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { HttpRouteRule, WaypointService } from '#model/waypoint/config.ts';
import { type App, curl, startApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, rule, startRig, to, until } from '#waypoint/waypoint-rig.testing.ts';

/** A waypoint with one rule of a VirtualService for everything. */
async function startWith(t: TestContext, change: Partial<HttpRouteRule>, more: Partial<WaypointService> = {}): Promise<Rig> {
  const rig = await startRig({ random: () => 0 });
  t.after(() => rig.close());
  const rules = [rule({}, [to('cart')], { matches: [], ...change })];
  const route = { namespace: 'shop', name: 'v', ports: null, clientNamespace: null, inOrder: true as const, rules };
  rig.waypoint.configure({ ...configOf({}), services: [{ key: CART, routes: [route], policies: [], ...more }] });
  return rig;
}

const RETRY = { codes: [], attempts: 2, backoffMs: null, virtual: { intervalMs: null, grpcStatuses: [14], unanswered: false } };

/** Answers the first request with a status of gRPC in the head, and the others with 0. */
function failsOnce(t: TestContext, first: string): Promise<App> {
  const app: Promise<App> = startApp(t, async (_heard, response) => {
    const { heard } = await app;
    response.setHeader('grpc-status', heard.length === 1 ? first : '0').end();
  });
  return app;
}

for (const { status, tries } of [
  { status: '14', tries: 2 },
  { status: '5', tries: 1 },
])
  test(`W34 config-api 4.4: a call that ends with status ${status} is tried ${tries} times where its route retries on unavailable`, async (t) => {
    const rig = await startWith(t, { retry: RETRY });
    const app = await failsOnce(t, status);
    rig.endpoints([app.port]);
    const { headers } = await curl(rig.port, '/shop.Cart/Get', '-H', 'content-type: application/grpc');
    assert.match(headers, new RegExp(`grpc-status: ${tries === 2 ? 0 : status}`));
    assert.equal(app.heard.length, tries);
  });

const CORS = {
  ...{ allowOrigins: [], originMatches: [{ type: 'exact', value: 'https://a.example' }] as const, allowCredentials: false },
  ...{ allowMethods: ['GET'], allowHeaders: [], exposeHeaders: [], maxAgeSeconds: null },
};
const ASK = (origin: string) => ['-X', 'OPTIONS', '-H', `origin: ${origin}`, '-H', 'access-control-request-method: GET'];
const ALLOWED = (headers: string) => /access-control-allow-origin: (\S+)/.exec(headers)?.[1] ?? null;

test('config-api 4.4: a preflight of an origin that is not named goes to the application, unless it is to be ignored', async (t) => {
  const app = await startApp(t, (_heard, response) => response.setHeader('access-control-allow-origin', 'https://own').end());
  const forwards = await startWith(t, { cors: { ...CORS, leavesOthers: true } });
  const ignores = await startWith(t, { cors: CORS });
  for (const rig of [forwards, ignores]) rig.endpoints([app.port]);
  const asked = async (rig: Rig, origin: string) => ALLOWED((await curl(rig.port, '/', ...ASK(origin))).headers);
  assert.equal(await asked(forwards, 'https://a.example'), 'https://a.example');
  assert.equal(app.heard.length, 0);
  assert.deepEqual([await asked(forwards, 'https://b.example'), app.heard.length], ['https://own', 1]);
  assert.deepEqual([await asked(ignores, 'https://b.example'), app.heard.length], [null, 1]);
});

test('config-api 4.4: copies go to the subset that is named', async (t) => {
  const mirrors = [{ service: CART, port: 80, subset: 'v2', numerator: 1, denominator: 1 }];
  const subsets = [
    { service: CART, name: 'v1', endpoints: ['k//Pod/shop/cart-0'] },
    { service: CART, name: 'v2', endpoints: ['k//Pod/shop/cart-1'] },
  ];
  const rig = await startWith(t, { backends: [{ ...to('cart'), subset: 'v1' }], mirrors }, { subsets });
  const apps = [await startApp(t), await startApp(t)] as const;
  rig.endpoints(apps.map(({ port }) => port));
  const uids = [...rig.mesh.workloads()].map(({ uid }) => uid).sort();
  assert.deepEqual(
    uids,
    subsets.flatMap(({ endpoints }) => endpoints),
  );
  for (const path of ['/1', '/2', '/3']) assert.equal((await curl(rig.port, path)).status, 200);
  await until(() => apps[1].heard.length === 3);
  assert.equal(apps[0].heard.length, 3);
});
