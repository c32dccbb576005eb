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
  const rig = await startRig({ ...options, effects: { tracing, ...options.effects }, config });
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

test('config-api 5.1: a filter leaves out the lines of requests that do not hold it', async (t) => {
  const { rig } = await ruled(t, {
    accessLog: { filter: "request.url_path.startsWith('/api') || response.code >= 400 || 'x-log' in request.headers" },
  });
  for (const path of ['/', '/api/a', '/b']) await curl(rig.port, path, ...(path === '/b' ? ['-H', 'x-log: yes'] : []));
  await curl(rig.port, '/last', '-H', 'x-log: yes');
  await until(() => rig.lines.length === 3);
  assert.deepEqual(
    rig.lines.map(({ path }) => path),
    ['/api/a', '/b', '/last'],
  );
});

/** What holds of any request to the rig; each by itself, so that a line that is missing names it. */
const HOLDS = [
  "request.path == '/p?q=1' && request.url_path == '/p' && request.query == 'q=1'",
  "request.method == 'GET' && request.scheme == 'http' && request.protocol == 'HTTP/1.1'",
  "request.host.startsWith('127.0.0.1') && request.useragent == 'me' && request.referer == 'r' && request.headers['x-two'] == 'a,b'",
  "request.id.startsWith('00000000-') && request.size == 0 && request.duration < duration('60s')",
  'response.code == 200 && response.flags == 0 && !has(response.grpc_status) && response.size > 0',
  "source.address.startsWith('10.0.0.7:') && source.port > 0 && destination.port == 80 && destination.address == '10.96.0.10:80'",
  "connection.mtls && connection.uri_san_peer_certificate == 'spiffe://cluster.local/ns/web/sa/front'",
  "upstream.address.startsWith('127.0.0.1:') && upstream.port > 0 && !has(xds.route_name)",
];
for (const filter of HOLDS)
  test(`config-api 5.1: an expression sees: ${filter}`, async (t) => {
    const { rig } = await ruled(t, { accessLog: { filter } });
    await curl(rig.port, '/p?q=1', '-A', 'me', '-e', 'r', '-H', 'x-two: a', '-H', 'x-two: b');
    await until(() => rig.lines.length === 1);
  });

test('config-api 5.1: flags are Envoy’s bits, and what was not answered has no code', async (t) => {
  const { rig } = await ruled(t, { accessLog: { filter: 'response.flags == 2 && response.code == 503 && !has(upstream.port)' } });
  rig.endpoints([]);
  await curl(rig.port, '/');
  await until(() => rig.lines.length === 1);
});

test('config-api 5.1: spans have the tags that are asked for, and none of the mesh where those are not wanted', async (t) => {
  const tags = [
    { tag: 'team', from: 'literal', name: 'blue', otherwise: null },
    { tag: 'user', from: 'header', name: 'x-user', otherwise: 'nobody' },
    { tag: 'none', from: 'header', name: 'x-none', otherwise: null },
    { tag: 'zone', from: 'environment', name: 'WEFT_TAG_ZONE', otherwise: null },
    { tag: 'component', from: 'literal', name: 'mine', otherwise: null },
  ] as const;
  const effects = { shownVariable: (name: string) => (name === 'WEFT_TAG_ZONE' ? 'a' : null) };
  const { rig, spans } = await ruled(t, { tracing: { tags, istioTags: false } }, { effects });
  await curl(rig.port, '/', '-H', 'x-user: me');
  await curl(rig.port, '/');
  await until(() => spans.length === 2);
  const [first, second] = spans.map(({ attributes }) => attributes);
  const of = (attributes = first) => ['team', 'user', 'none', 'zone', 'component'].map((name) => attributes?.[name]);
  assert.deepEqual(of(), ['blue', 'me', undefined, 'a', 'mine']);
  assert.equal(second?.user, 'nobody');
  assert.deepEqual(
    Object.keys(first ?? {}).filter((name) => name.startsWith('istio.')),
    [],
  );
  assert.equal(first?.['http.status_code'], 200);
});

test('config-api 5.1: a trace that is not propagated begins a span, and its headers pass as they came', async (t) => {
  const { rig, app, spans } = await ruled(t, { tracing: { propagated: false } });
  await curl(rig.port, '/', '-H', `traceparent: 00-${TRACE}-${SPAN}-01`);
  await curl(rig.port, '/');
  await until(() => spans.length === 2);
  assert.deepEqual(
    app.heard.map(({ headers }) => headers.traceparent),
    [`00-${TRACE}-${SPAN}-01`, undefined],
  );
  assert.equal(spans[0]?.context.parentSpanId, SPAN);
});

test('config-api 5.1: connections that are not HTTP go by the same rules', async (t) => {
  const { rig } = await ruled(t, { accessLog: false }, { appProtocol: 'tcp' });
  await curl(rig.port, '/');
  const { counters } = rig.waypoint.counts;
  await until(() => counters.tcpConnections === 1 && counters.openConnections === 0);
  assert.deepEqual(rig.lines, []);
  const filter = "connection.mtls && has(upstream.port) && source.address.startsWith('10.') && !has(request.method)";
  const telemetry = { accessLog: { filter } };
  rig.waypoint.configure({ ...rig.config, services: [{ key: CART, routes: [], policies: [], telemetry }] });
  await curl(rig.port, '/');
  await until(() => rig.lines.length === 1);
});

test('config-api 5.1: requests and connections are counted with the labels that are asked for, or not at all', async (t) => {
  const metrics = {
    istio_requests_total: [
      { tag: 'destination_principal', value: null },
      { tag: 'response_code', value: 'response.code < 500 ? "ok" : "bad"' },
      { tag: 'page', value: 'request.url_path' },
    ],
    istio_request_duration_milliseconds: false,
  } as const;
  const { rig } = await ruled(t, { metrics });
  for (const path of ['/a', '/b', '/a']) await curl(rig.port, path);
  await until(() => rig.lines.length === 3);
  const shown = (name: string) => rig.waypoint.meters.collect().find((family) => family.name === name)?.series ?? [];
  assert.deepEqual(
    shown('istio_requests_total').map(({ labels, value }) => [
      ...[labels.page, labels.response_code, labels.destination_principal, labels.source_principal, value],
    ]),
    [
      ['/a', 'ok', '', 'spiffe://cluster.local/ns/web/sa/front', 2],
      ['/b', 'ok', '', 'spiffe://cluster.local/ns/web/sa/front', 1],
    ],
  );
  assert.deepEqual(shown('istio_request_duration_milliseconds'), []);
  rig.waypoint.configure({ ...rig.config, services: [{ key: CART, routes: [], policies: [] }] });
  await curl(rig.port, '/a');
  await until(() => shown('istio_request_duration_milliseconds').length === 1);
  assert.deepEqual(
    shown('istio_requests_total').map(({ labels: { page } }) => page),
    ['/a', '/b', undefined],
  );
});

test('config-api 5.1: what is not counted of requests that end alike is counted again from the configuration on that says so', async (t) => {
  const { rig } = await ruled(t, { metrics: { istio_requests_total: false } });
  const total = () => rig.waypoint.meters.total('istio_requests_total');
  for (let request = 0; request < 2; request++) await curl(rig.port, '/');
  await until(() => rig.lines.length === 2);
  assert.equal(total(), 0);
  rig.waypoint.configure({ ...rig.config, services: [{ key: CART, routes: [], policies: [] }] });
  for (let request = 0; request < 2; request++) await curl(rig.port, '/');
  await until(() => rig.lines.length === 4);
  assert.equal(total(), 2);
});

test('config-api 5.1: connections that are not HTTP are counted by the same rules', async (t) => {
  const metrics = {
    istio_tcp_sent_bytes_total: false,
    istio_tcp_connections_closed_total: [{ tag: 'dialled', value: 'destination.port' }],
  } as const;
  const { rig } = await ruled(t, { metrics }, { appProtocol: 'tcp' });
  await curl(rig.port, '/');
  await until(() => rig.lines.length === 1);
  const shown = (name: string) => rig.waypoint.meters.collect().find((family) => family.name === name)?.series ?? [];
  assert.deepEqual(shown('istio_tcp_sent_bytes_total'), []);
  assert.deepEqual(
    shown('istio_tcp_connections_closed_total').map(({ labels: { dialled } }) => dialled),
    ['80'],
  );
  assert.deepEqual(
    shown('istio_tcp_connections_opened_total').map(({ labels: { dialled } }) => dialled),
    [undefined],
  );
});
