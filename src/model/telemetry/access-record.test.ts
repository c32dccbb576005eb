import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aService, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { NO_PATH, REFUSED_OUTCOME, type RecordOutcome, type RecordPath, recordOf } from './access-record.ts';
import { CLOSE_CAUSES, RESPONSE_FLAGS, Refusal, refusalOf } from './close-cause.ts';
import { ACCESS_FIELDS } from './log-fields.ts';

const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2']);
const source = { end: { ip: parseIp('10.0.0.1'), port: 40_000 }, workload: client, identity: identityOf(client) };
const path: RecordPath = {
  end: { ip: parseIp('10.0.0.2'), port: 15_008 },
  authority: '10.0.0.2:8080',
  service: aService('cart', ['240.0.0.1']),
  workload: server,
  identity: identityOf(server),
};
const carried: RecordOutcome = {
  ...REFUSED_OUTCOME,
  flag: '-',
  cause: null,
  requestBytes: 3,
  responseBytes: 5,
  durationMs: 13,
};
/** A line as the log writes it. */
function lineOf(...parts: Parameters<typeof recordOf>): Partial<ReturnType<typeof recordOf>> {
  return Object.fromEntries(Object.entries(recordOf(...parts)).filter(([, value]) => value !== undefined));
}

const http = {
  method: 'GET',
  path: '/x',
  authority: 'cart',
  protocol: 'HTTP/1.1',
  responseCode: 200,
  grpcStatus: null,
  route: null,
  requestId: 'id-1',
};

test("a tunnel's line has ztunnel's fields", () =>
  assert.deepEqual(lineOf(source, { reporter: 'source', dialled: '240.0.0.1:80' }, path, carried), {
    'src.addr': '10.0.0.1:40000',
    'src.workload': 'client',
    'src.namespace': 'shop',
    'src.identity': 'spiffe://cluster.local/ns/shop/sa/client',
    'dst.addr': '10.0.0.2:15008',
    'dst.hbone_addr': '10.0.0.2:8080',
    'dst.service': path.service?.hostname,
    'dst.workload': 'server',
    'dst.namespace': 'shop',
    'dst.identity': 'spiffe://cluster.local/ns/shop/sa/server',
    downstream_local_address: '240.0.0.1:80',
    direction: 'outbound',
    bytes_sent: 3,
    bytes_recv: 5,
    duration: '13ms',
    response_flags: '-',
  }));

test('what the reporter sent is the request when it speaks for the client, else the response', () => {
  for (const [reporter, sent] of [
    ['source', 3],
    ['destination', 5],
    ['waypoint', 5],
  ] as const) {
    assert.equal(lineOf(source, { reporter, dialled: null }, path, carried).bytes_sent, sent, reporter);
  }
});

test('what is not known is not in the line, and every field is in the list, in its order', () => {
  const bare = lineOf(
    { end: null, workload: null, identity: null },
    { reporter: 'source', dialled: null },
    NO_PATH,
    REFUSED_OUTCOME,
  );
  assert.deepEqual(Object.keys(bare), ['direction', 'bytes_sent', 'bytes_recv', 'response_flags', 'cause']);
  const full = { ...carried, http: { ...http, grpcStatus: '0', route: 'r' }, policy: 'shop/p', rule: 0, error: 'x' };
  const listed = Object.keys(ACCESS_FIELDS);
  const written = [
    ...Object.keys(lineOf(source, { reporter: 'source', dialled: 'v' }, path, { ...full, cause: 'policy' })),
    ...Object.keys(lineOf(source, { reporter: 'source', dialled: 'v' }, path, { ...full, http: null })),
  ];
  assert.deepEqual(new Set(written), new Set(listed));
  assert.deepEqual(
    [...written.slice(0, listed.length - 1)].map((field) => listed.indexOf(field)).toSorted((a, b) => a - b),
    [...written.slice(0, listed.length - 1).map((field) => listed.indexOf(field))],
  );
});

test('a request of which nothing went wrong says so in no field of its own', () => {
  const line = lineOf(source, { reporter: 'waypoint', dialled: null }, path, { ...carried, http });
  assert.deepEqual(
    [line.response_code, line.error, line.response_code_details, line.direction],
    [200, undefined, undefined, undefined],
  );
});

test('every cause shows a flag of the list, and a refusal may show another', () => {
  for (const { flag } of Object.values(CLOSE_CAUSES)) assert.ok(flag in RESPONSE_FLAGS);
  assert.equal(new Refusal('policy', 'no').flag, 'DENY');
  assert.equal(new Refusal('tunnel-failed', 'no', { flag: 'TLS_FAILURE' }).flag, 'TLS_FAILURE');
  const refusal = new Refusal('no-backend', 'none');
  assert.equal(refusalOf(refusal, 'other'), refusal);
  assert.deepEqual(
    [refusalOf('odd', 'connect-failed').why, refusalOf('odd', 'connect-failed').message],
    ['connect-failed', 'odd'],
  );
});
