import assert from 'node:assert/strict';
import test from 'node:test';
import { HTTP2 } from '#model/settings/http.ts';
import { settingsAndAck } from '#platform/http2/frames.testing.ts';
import { curl, deadPort, startApp, startRawApp } from './clients.testing.ts';
import { ask2, http2Client } from './http2-clients.testing.ts';
import type { WaypointEffects } from './self/effects.ts';
import { connect, settle, startRig, until } from './waypoint-rig.testing.ts';

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

test('F1: a call to an HTTP/2 app that left the mesh and is silent fails when a PING is not answered, long before the next one', async (t) => {
  let heard = 0;
  const port = await startRawApp(t, (socket) => {
    socket.write(settingsAndAck());
    socket.on('data', (data) => (heard += data.length));
  });
  const rig = await startRig({ appProtocol: 'grpc' });
  t.after(() => rig.close());
  rig.endpoints([port]);
  const asked = ask2(http2Client(t, rig.port), { ':method': 'POST', ':path': '/' }, 'body');
  await until(() => heard > 0);
  await settle();
  const before = heard;
  rig.endpoints([]);
  await until(() => heard > before);
  rig.clock.advance(HTTP2.pingTimeoutMs);
  assert.equal((await asked).status, 503);
});
