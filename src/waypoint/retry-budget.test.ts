import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { RetryBudget } from '#model/waypoint/destination-settings.ts';
import { type App, curl, startApp } from '#waypoint/clients.testing.ts';
import { ask2, http2Client } from '#waypoint/http2-clients.testing.ts';
import { CART, configOf, type Rig, type RigOptions, rule, startRig, to } from '#waypoint/waypoint-rig.testing.ts';

/** `cart`, whose route asks for three retries, under a budget; its app answers with the status that is told. */
async function failing(t: TestContext, retryBudget: RetryBudget): Promise<{ rig: Rig; app: App; answer: { status: number } }> {
  const retry = { codes: [503], attempts: 3, backoffMs: 0 };
  const options: RigOptions = { routes: [rule({}, [to('cart')], { retry })] };
  const destinations = [{ service: CART, port: null, subset: null, retryBudget }];
  const services = configOf(options).services.map((service) => ({ ...service, destinations }));
  const rig = await startRig({ ...options, config: { services } });
  t.after(() => rig.close());
  const answer = { status: 503 };
  const app = await startApp(t, (_heard, response) => response.writeHead(answer.status).end());
  rig.endpoints([app.port]);
  return { rig, app, answer };
}

async function ask(t: TestContext, rig: Rig, count: number): Promise<number[]> {
  const client = http2Client(t, rig.port);
  const statuses: number[] = [];
  for (let request = 0; request < count; request++) statuses.push((await ask2(client, { ':path': `/${request}` })).status);
  return statuses;
}

test('an upstream that fails gets as many requests more as the budget says, and the first answer stands where there is none', async (t) => {
  const { rig, app, answer } = await failing(t, { percent: 20, of: { kind: 'interval', intervalMs: 10_000, minPerSecond: 0 } });
  assert.deepEqual(new Set(await ask(t, rig, 100)), new Set([503]));
  assert.equal(app.heard.length, 120);
  assert.equal(rig.waypoint.counters.upstreamRetries, 20);
  const flags = Map.groupBy(rig.lines, ({ response_flags }) => String(response_flags));
  assert.ok((flags.get('UO')?.length ?? 0) >= 90, [...flags.keys()].join());
  // What failed in the last ten seconds counts no more, nor does what came then.
  rig.clock.advance(11_000);
  answer.status = 200;
  await ask(t, rig, 10);
  assert.equal(app.heard.length, 130);
  answer.status = 503;
  await ask(t, rig, 10);
  assert.equal(app.heard.length, 130 + 10 + 4);
});

test('without a budget it gets as many as its route asks for', async (t) => {
  const { rig, app } = await failing(t, { percent: 100, of: { kind: 'active', minConcurrency: 1_000 } });
  await ask(t, rig, 10);
  assert.equal(app.heard.length, 40);
});

test('a budget of what is under way: one request alone is sent again as long as fewer than the least are', async (t) => {
  for (const [minConcurrency, heard] of [
    [0, 1],
    [1, 4],
  ] as const) {
    const { rig, app } = await failing(t, { percent: 20, of: { kind: 'active', minConcurrency } });
    await curl(rig.port, '/');
    assert.equal(app.heard.length, heard);
    await curl(rig.port, '/');
    // What was held is free again.
    assert.equal(app.heard.length, 2 * heard);
  }
});
