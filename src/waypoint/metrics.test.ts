import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Distribution, type Series } from '#model/telemetry/meters.ts';
import type { MetricName } from '#model/telemetry/metrics.ts';
import { curl, deadPort, rawClient, startApp, startRawApp } from '#waypoint/clients.testing.ts';
import { type Rig, settle, startRig, until } from '#waypoint/waypoint-rig.testing.ts';

function seriesOf(rig: Rig, name: MetricName): readonly Series[] {
  return rig.waypoint.meters.collect().find((family) => family.name === name)?.series ?? [];
}

test("requests are counted in Istio's labels, by status, and their time with them", async (t) => {
  const app = await startApp(t, ({ url }, response) => {
    response.statusCode = url === '/missing' ? 404 : 200;
    response.end();
  });
  const rig = await startRig({});
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  for (const path of ['/', '/missing', '/']) await curl(rig.port, path);
  const total = seriesOf(rig, 'istio_requests_total');
  assert.deepEqual(
    total.map(({ labels, value }) => [labels.response_code, labels.response_flags, value]),
    [
      ['200', '-', 2],
      ['404', '-', 1],
    ],
  );
  const labels = total[0]?.labels ?? {};
  assert.deepEqual(
    [labels.reporter, labels.source_principal, labels.destination_service, labels.request_protocol, labels.grpc_response_status],
    ['waypoint', 'spiffe://cluster.local/ns/web/sa/front', 'cart.shop.svc.cluster.local', 'http', ''],
  );
  assert.equal(labels.connection_security_policy, 'mutual_tls');
  const [duration] = seriesOf(rig, 'istio_request_duration_milliseconds');
  assert.ok(duration?.value instanceof Distribution);
  assert.equal(
    duration.value.counts.reduce((sum, count) => sum + count, 0),
    2,
  );
});

test('the last outcome of a connection does not stick: each request is counted under its own', async (t) => {
  const app = await startApp(t, ({ url }, response) => {
    response.statusCode = Number(url.slice(1));
    response.end();
  });
  const rig = await startRig({});
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const client = await rawClient(t, rig.port);
  for (const status of [200, 200, 503, 200]) {
    const before = rig.lines.length;
    client.socket.write(`GET /${status} HTTP/1.1\r\nhost: a\r\n\r\n`);
    await until(() => rig.lines.length > before);
  }
  assert.deepEqual(
    seriesOf(rig, 'istio_requests_total').map(({ labels, value }) => [labels.response_code, value]),
    [
      ['200', 3],
      ['503', 1],
    ],
  );
});

test('an endpoint that changes its labels is counted under the new ones, on connections that are open as well', async (t) => {
  const app = await startApp(t);
  const rig = await startRig({});
  t.after(() => rig.close());
  const client = await rawClient(t, rig.port);
  for (const [at, canonicalRevision] of ['v1', 'v2', 'v2'].entries()) {
    rig.endpoints([app.port], { canonicalRevision });
    client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
    await until(() => rig.lines.filter(({ message }) => message === 'request').length === at + 1);
  }
  assert.deepEqual(
    seriesOf(rig, 'istio_requests_total').map(({ labels, value }) => [labels.destination_canonical_revision, value]),
    [
      ['v1', 1],
      ['v2', 2],
    ],
  );
});

test('clients are told apart, though they share an endpoint', async (t) => {
  const app = await startApp(t);
  const rig = await startRig({});
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  const { peer } = rig;
  for (const client of [peer, null, peer]) {
    rig.peer = client;
    await curl(rig.port, '/');
  }
  assert.deepEqual(
    seriesOf(rig, 'istio_requests_total').map(({ labels, value }) => [labels.source_principal, value]),
    [
      ['spiffe://cluster.local/ns/web/sa/front', 2],
      ['unknown', 1],
    ],
  );
});

test('W68 a request that policy denies is counted by its service, with no workload that it would have gone to', async (t) => {
  const policy = { namespace: 'shop', name: 'nobody', action: 'allow', dryRun: false, rules: [] } as const;
  const rig = await startRig({ policies: [policy] });
  t.after(() => rig.close());
  rig.endpoints([await deadPort()]);
  assert.equal((await curl(rig.port, '/')).status, 403);
  const [{ labels, value } = { labels: {}, value: 0 }] = seriesOf(rig, 'istio_requests_total');
  assert.equal(value, 1);
  assert.deepEqual(
    [labels.reporter, labels.response_code, labels.response_flags, labels.destination_service, labels.destination_workload],
    ['waypoint', '403', '-', 'cart.shop.svc.cluster.local', 'unknown'],
  );
  assert.equal(labels.connection_security_policy, 'mutual_tls');
});

test('W69 a TCP connection is opened and closed with its bytes, or failed with its flag and cause', async (t) => {
  const echo = await startRawApp(t, (socket) => socket.on('data', (data) => socket.end(data)));
  const rig = await startRig({ appProtocol: 'tcp' });
  t.after(() => rig.close());
  rig.endpoints([echo]);
  const client = await rawClient(t, rig.port);
  client.socket.end('hello');
  await until(() => rig.waypoint.meters.total('istio_tcp_connections_closed_total') === 1);
  assert.deepEqual(
    (['opened', 'failed'] as const).map((end) => rig.waypoint.meters.total(`istio_tcp_connections_${end}_total`)),
    [1, 0],
  );
  assert.equal(rig.waypoint.meters.total('istio_tcp_received_bytes_total'), 5);
  assert.equal(rig.waypoint.meters.total('istio_tcp_sent_bytes_total'), 5);
  rig.endpoints([await deadPort()]);
  const second = await rawClient(t, rig.port);
  await until(() => second.ended() || second.socket.destroyed);
  await settle();
  assert.deepEqual(
    seriesOf(rig, 'istio_tcp_connections_failed_total').map(({ labels, value }) => [labels.response_flags, value]),
    [['UF', 1]],
  );
  assert.deepEqual(seriesOf(rig, 'weft_refusals_total'), [
    { labels: { reporter: 'waypoint', cause: 'connect-failed' }, value: 1 },
  ]);
  assert.equal(rig.lines.at(-1)?.cause, 'connect-failed');
});

test('the page tells what the waypoint holds', async (t) => {
  const app = await startApp(t);
  const rig = await startRig({});
  t.after(() => rig.close());
  rig.endpoints([app.port]);
  await curl(rig.port, '/');
  const value = (name: MetricName) => seriesOf(rig, name)[0]?.value;
  assert.deepEqual(
    [value('weft_upstream_connections_total'), value('weft_upstream_endpoints'), value('weft_upstream_pools')],
    [1, 1, 1],
  );
  assert.equal(value('weft_requests_active'), 0);
});
