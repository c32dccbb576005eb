import assert from 'node:assert/strict';
import test from 'node:test';
import { curl, deadPort, startApp } from './clients.testing.ts';
import type { WaypointEffects } from './self/effects.ts';
import { connect, startRig, until } from './waypoint-rig.testing.ts';

/** Where nobody answers. */
const GONE = 9;

test('F9: by default, an endpoint that cannot be reached is replaced by another, its load with it', async (t) => {
  const app = await startApp(t);
  const rig = await startRig();
  t.after(() => rig.close());
  rig.endpoints([await deadPort(), app.port]);
  const seen = [];
  for (let request = 0; request < 20; request++) seen.push((await curl(rig.port, '/', '-d', 'body')).status);
  // One draw in 64 draws the same endpoint six times.
  assert.ok(seen.filter((status) => status === 200).length >= 15, seen.join());
  assert.ok(rig.waypoint.counters.upstreamRetries > 0 && rig.waypoint.counters.upstreamConnectFailures > 0);
  assert.ok(app.heard.every(({ body }) => body === 'body'));
});

test('F4: an endpoint that leaves the mesh before it answers is waited for no longer, and followed by another', async (t) => {
  const app = await startApp(t);
  const dials: number[] = [];
  const dialDirect: WaypointEffects['dialDirect'] = (_workload, ip, port) => {
    dials.push(port);
    return port === GONE ? new Promise(() => {}) : connect(ip, port);
  };
  const rig = await startRig({ effects: { dialDirect }, random: () => 0.99 });
  t.after(() => rig.close());
  rig.endpoints([app.port, GONE]);
  const asked = curl(rig.port, '/', '-d', 'body');
  await until(() => dials.length === 1);
  rig.endpoints([app.port]);
  assert.equal((await asked).status, 200);
  assert.deepEqual(dials, [GONE, app.port]);
});
