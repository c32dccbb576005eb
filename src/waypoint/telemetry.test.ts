import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import type { TelemetryRules } from '#model/telemetry/rules.ts';
import type { Span } from '#model/telemetry/trace.ts';
import { curl, startApp } from '#waypoint/clients.testing.ts';
import { CART, type RigOptions, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

/** A waypoint with an app behind it, by these rules, and its spans; every request is traced unless they say otherwise. */
async function ruled(t: TestContext, telemetry: TelemetryRules, options: RigOptions = {}) {
  const spans: Span[] = [];
  const tracing = { percent: 100, record: (span: Span) => void spans.push(span) };
  const config = { services: [{ key: CART, routes: [], policies: [], telemetry }] };
  const rig = await startRig({ ...options, effects: { tracing }, config });
  t.after(() => rig.close());
  const app = await startApp(t);
  rig.endpoints([app.port]);
  return { rig, app, spans };
}

test('config-api 5.1: without an access log there is no line, and requests are counted and traced all the same', async (t) => {
  const { rig, spans } = await ruled(t, { accessLog: false });
  await curl(rig.port, '/');
  await until(() => spans.length === 1);
  assert.deepEqual(rig.lines, []);
  assert.equal(rig.waypoint.counts.counters.responsesByClass[2], 1);
  rig.waypoint.configure({ ...rig.config, services: [{ key: CART, routes: [], policies: [] }] });
  await curl(rig.port, '/');
  await until(() => rig.lines.length === 1);
});

test('config-api 5.1: a share of traces goes before that of the operator, and what the caller decided before both', async (t) => {
  const { rig, app, spans } = await ruled(t, { tracing: { percent: 0 } });
  await curl(rig.port, '/');
  await curl(rig.port, '/', '-H', `traceparent: 00-${TRACE}-${SPAN}-01`);
  await until(() => spans.length === 1);
  assert.equal(spans[0]?.context.traceId, TRACE);
  assert.match(String(app.heard[0]?.headers.traceparent), /-00$/);
});

test('config-api 5.1: spans that are not reported go nowhere, and the trace goes on', async (t) => {
  const { rig, app, spans } = await ruled(t, { tracing: { reported: false } });
  await curl(rig.port, '/', '-H', `traceparent: 00-${TRACE}-${SPAN}-01`);
  await until(() => rig.lines.length === 1);
  assert.match(String(app.heard[0]?.headers.traceparent), new RegExp(`^00-${TRACE}-(?!${SPAN})[0-9a-f]{16}-01$`));
  assert.deepEqual(spans, []);
});

test('config-api 5.1: connections that are not HTTP go by the same rules', async (t) => {
  const { rig } = await ruled(t, { accessLog: false }, { appProtocol: 'tcp' });
  await curl(rig.port, '/');
  const { counters } = rig.waypoint.counts;
  await until(() => counters.tcpConnections === 1 && counters.openConnections === 0);
  assert.deepEqual(rig.lines, []);
  rig.waypoint.configure({ ...rig.config, services: [{ key: CART, routes: [], policies: [] }] });
  await curl(rig.port, '/');
  await until(() => rig.lines.length === 1);
});
