import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { NO_PATH, type RecordOrigin } from './access-record.ts';
import { addDeltas, MeterDeltas } from './meter-deltas.ts';
import { Meters } from './meters.ts';
import { compileMetrics, ruledLabels } from './metric-rules.ts';
import { PeerSeries, peerLabels } from './peer-series.ts';

const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2']);
const source = { end: null, workload: client, identity: identityOf(client) };
const origin = { reporter: 'source', dialled: null } as const;
const path = { ...NO_PATH, workload: server, identity: identityOf(server) };
const OPENED = 'istio_tcp_connections_opened_total';

test('the series that is found is the one of the labels, at first and ever after', () => {
  const meters = new Meters('agent');
  const peers = new PeerSeries(meters);
  const found = peers.count(OPENED, source, origin, path, '-');
  assert.equal(found, meters.counter(OPENED, peerLabels(source, origin, path, 'tcp', '-')));
  // Another connection of the same peers has objects of its own, but for the records.
  assert.equal(peers.count(OPENED, { ...source, identity: { ...identityOf(client) } }, origin, { ...path }, '-'), found);
});

test('whatever a label is made of makes another series', () => {
  const peers = new PeerSeries(new Meters('agent'));
  const others = [
    peers.count(OPENED, source, origin, path, '-'),
    peers.count(OPENED, source, origin, path, 'DENY'),
    peers.count(OPENED, source, { ...origin, reporter: 'destination' }, path, '-'),
    peers.count(OPENED, { ...source, workload: null }, origin, path, '-'),
    peers.count(OPENED, { ...source, identity: null }, origin, path, '-'),
    peers.count(OPENED, source, origin, { ...path, workload: null }, '-'),
    peers.count(OPENED, source, origin, { ...path, identity: null }, '-'),
    peers.count(OPENED, source, origin, { ...path, service: { name: 'cart', namespace: 'shop', hostname: 'cart' } }, '-'),
    peers.count('istio_tcp_connections_closed_total', source, origin, path, '-'),
  ];
  assert.equal(new Set(others).size, others.length);
});

test('the end of a connection adds to the series of its three names', () => {
  const meters = new Meters('agent');
  const peers = new PeerSeries(meters);
  const { closed, received, sent } = peers.ended(source, origin, path, 'DENY');
  const names = ['connections_closed', 'received_bytes', 'sent_bytes'] as const;
  const labels = peerLabels(source, origin, path, 'tcp', 'DENY');
  assert.deepEqual(
    [closed, received, sent].map((one, at) => one === meters.counter(`istio_tcp_${names[at] ?? 'sent_bytes'}_total`, labels)),
    [true, true, true],
  );
  assert.equal(peers.ended(source, origin, path, 'DENY').closed, closed);
  assert.notEqual(peers.ended(source, origin, path, '-').closed, closed);
});

test('a workload whose record changed is counted under what the new one says', () => {
  const meters = new Meters('agent');
  const peers = new PeerSeries(meters);
  peers.count(OPENED, source, origin, path, '-').add();
  peers.count(OPENED, source, origin, { ...path, workload: { ...server, canonicalRevision: 'v2' } }, '-').add();
  const series = meters.collect().find(({ name }) => name === OPENED)?.series ?? [];
  assert.deepEqual(
    series.map(({ labels }) => labels.destination_canonical_revision),
    [peerLabels(source, origin, path, 'tcp', '-').destination_canonical_revision, 'v2'],
  );
});

test('requests differ by status, flag and gRPC status', () => {
  const meters = new Meters('waypoint');
  const peers = new PeerSeries(meters);
  const request = (responseCode: number, grpcStatus: string | null = null) =>
    peers.request(source, { reporter: 'waypoint', dialled: null }, path, { flag: '-', responseCode, grpcStatus });
  for (const { total, duration } of [request(200), request(200), request(404), request(200, '5')]) {
    total?.add();
    duration?.observe(3);
  }
  assert.equal(request(200).requestMessages, null);
  const { requestMessages, responseMessages } = request(200, '5');
  assert.ok(requestMessages !== null && responseMessages !== null && requestMessages !== responseMessages);
  const series = meters.collect().find(({ name }) => name === 'istio_requests_total')?.series ?? [];
  assert.deepEqual(
    series.map(({ labels, value }) => [labels.response_code, labels.grpc_response_status, labels.request_protocol, value]),
    [
      ['200', '', 'http', 2],
      ['404', '', 'http', 1],
      ['200', '5', 'grpc', 1],
    ],
  );
});

test('config-api 5.1: a Telemetry changes labels of requests and connections, and leaves metrics out', () => {
  const meters = new Meters('waypoint');
  const peers = new PeerSeries(meters);
  const rules = compileMetrics(
    {
      istio_requests_total: [
        { tag: 'destination_version', value: null },
        { tag: 'host', value: 'request.host' },
      ],
      istio_request_duration_milliseconds: false,
      istio_request_bytes: false,
      istio_response_bytes: false,
      istio_tcp_connections_opened_total: [{ tag: 'source_app', value: '"app"' }],
      istio_tcp_sent_bytes_total: false,
    },
    assert.fail,
  );
  assert.ok(rules !== null);
  const at: RecordOrigin = { reporter: 'waypoint', dialled: null };
  const request = (host: string, facts = { flag: '-', responseCode: 200, grpcStatus: null } as const) =>
    peers.request(source, at, path, facts, ruledLabels(rules, { attribute: () => host, header: () => undefined }));
  for (const host of ['a', 'b', 'a', '']) request(host).total?.add();
  const { duration, requestBytes, responseBytes } = request('a');
  assert.deepEqual([duration, requestBytes, responseBytes], [null, null, null]);
  const of = (name: string) => meters.collect().find((family) => family.name === name)?.series ?? [];
  assert.deepEqual(
    of('istio_requests_total').map(({ labels, value }) => [labels.destination_version, labels.host, value]),
    [
      ['', 'a', 2],
      ['', 'b', 1],
      ['', undefined, 1],
    ],
  );
  const ruled = ruledLabels(rules, { attribute: () => undefined, header: () => undefined });
  peers.ruledCount(OPENED, source, at, path, '-', ruled)?.add();
  peers.ruledCount(OPENED, source, at, path, '-', null)?.add();
  assert.equal(peers.ruledCount('istio_tcp_sent_bytes_total', source, at, path, '-', ruled), null);
  assert.deepEqual(
    of(OPENED).map(({ labels }) => labels.source_app === 'app'),
    [true, false],
  );
  // As the page of the process has it, which another thread serves.
  const page = new Meters('waypoint');
  addDeltas(page, new MeterDeltas(meters).take());
  assert.deepEqual(page.collect(), meters.collect());
});

test('B64: where an end is is told of both, "unknown" of the one that is not known, and nothing where neither is', () => {
  const at = (region: string, zone: string) => ({ locality: { region, zone, subzone: 'x' } });
  const labelsOf = (from: object, to: object): unknown[] => {
    const ends = [{ ...source, workload: { ...client, ...from } }, origin, { ...path, workload: { ...server, ...to } }] as const;
    const labels = peerLabels(...ends, 'tcp', '-');
    return [labels.source_region, labels.source_zone, labels.destination_region, labels.destination_zone];
  };
  assert.deepEqual(labelsOf(at('r1', 'a'), at('r2', 'b')), ['r1', 'a', 'r2', 'b']);
  assert.deepEqual(labelsOf(at('', ''), at('r2', '')), ['unknown', 'unknown', 'r2', 'unknown']);
  assert.deepEqual(labelsOf(at('', ''), at('', '')), ['', '', '', '']);
});
