import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { OutlierDetection } from '#model/waypoint/destination-settings.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { CART, configOf, type Rig, startRig } from '#waypoint/waypoint-rig.testing.ts';

const ENDPOINTS = 5;
const DETECTION: OutlierDetection = {
  ...{ consecutive5xx: 0, consecutiveGatewayErrors: 0, consecutiveLocalFailures: null, minHealthPercent: 0 },
  ...{ intervalMs: 10_000, baseEjectionMs: 30_000, maxEjectionMs: 300_000, maxEjectionPercent: 100 },
  successRate: { deviations: 1.5, minEndpoints: ENDPOINTS, minRequests: 4 },
};

/** Five endpoints, each asked in its turn. `failing`: of which each second answer is 500; it may change. */
async function started(t: TestContext, detection: OutlierDetection = DETECTION) {
  let drawn = 0;
  // Least request draws twice.
  const random = (): number => (Math.floor(drawn++ / 2) % ENDPOINTS) / ENDPOINTS + 0.001;
  const services = configOf({}).services.map((service) => ({
    ...service,
    destinations: [{ service: CART, port: null, subset: null, outlierDetection: detection }],
  }));
  const rig = await startRig({ random, config: { services } });
  t.after(() => rig.close());
  const failing = new Set<number>();
  const asked = Array.from({ length: ENDPOINTS }, () => 0);
  const ports: number[] = [];
  for (let at = 0; at < ENDPOINTS; at++) {
    const app = await startApp(t, (_heard, response) => {
      const count = (asked[at] ?? 0) + 1;
      asked[at] = count;
      response.writeHead(failing.has(at) && count % 2 === 0 ? 500 : 200).end();
    });
    ports.push(app.port);
  }
  rig.endpoints(ports);
  return { rig, failing, asked };
}

async function ask(rig: Rig, count: number): Promise<void> {
  for (let request = 0; request < count; request++) await curl(rig.port, '/');
}
const leftOut = (rig: Rig) => rig.lines.filter(({ detector }) => detector === 'success_rate').map(({ for_ms }) => for_ms);

test('W55 who answers worse than the others in an interval is left out, though no two failures come in a row', async (t) => {
  const { rig, failing, asked } = await started(t);
  failing.add(2);
  await ask(rig, 4 * ENDPOINTS);
  assert.deepEqual(leftOut(rig), [], 'an interval is looked at when it is over');
  rig.clock.advance(10_000);
  await ask(rig, 2 * ENDPOINTS);
  assert.deepEqual(leftOut(rig), [30_000]);
  const [before = 0] = [asked[2]];
  await ask(rig, 2 * ENDPOINTS);
  assert.equal(asked[2], before);
  // It comes back, and what it did before is no part of the interval that begins.
  failing.clear();
  rig.clock.advance(40_000);
  await ask(rig, 4 * ENDPOINTS);
  rig.clock.advance(10_000);
  await ask(rig, ENDPOINTS);
  assert.deepEqual(leftOut(rig), [30_000]);
  assert.ok((asked[2] ?? 0) > before);
});

test('W55 where all answer equally badly, or too few were asked, nobody is left out', async (t) => {
  const { rig, failing } = await started(t);
  for (let at = 0; at < ENDPOINTS; at++) failing.add(at);
  await ask(rig, 4 * ENDPOINTS);
  rig.clock.advance(10_000);
  failing.clear();
  failing.add(1);
  await ask(rig, 2 * ENDPOINTS);
  rig.clock.advance(10_000);
  await ask(rig, ENDPOINTS);
  assert.deepEqual(leftOut(rig), []);
});

test('W56 by success rate, too, no more are left out than may be', async (t) => {
  const { rig, failing } = await started(t, { ...DETECTION, maxEjectionPercent: 0 });
  failing.add(2);
  await ask(rig, 4 * ENDPOINTS);
  rig.clock.advance(10_000);
  await ask(rig, ENDPOINTS);
  assert.deepEqual(leftOut(rig), []);
  assert.equal(rig.waypoint.meters.total('weft_outlier_ejections_total'), 1);
});
