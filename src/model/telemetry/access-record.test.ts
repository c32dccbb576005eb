import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { fieldsOneByOne } from '#model/effects/log.ts';
import { aService, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { identityOf } from '#model/mesh/workload.ts';
import {
  askedFields,
  type HttpOutcome,
  NO_PATH,
  pathFields,
  REFUSED_OUTCOME,
  type RecordOutcome,
  type RecordPath,
  recordOf,
  requestRecordOf,
  sourceFields,
} from './access-record.ts';
import { CLOSE_CAUSES, RESPONSE_FLAGS, Refusal, refusalOf } from './close-cause.ts';
import { ACCESS_FIELDS } from './log-fields.ts';

const client = { ...aWorkload('client', ['10.0.0.1']), clusterId: 'one' };
const server = { ...aWorkload('server', ['10.0.0.2']), clusterId: 'two' };
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
function written(record: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fieldsOneByOne(record)).filter(([, value]) => value !== undefined));
}

function lineOf(...parts: Parameters<typeof recordOf>): Record<string, unknown> {
  return written(recordOf(...parts));
}

/** The line of a request, with what is shared in its place. */
function requestLine(outcome: RecordOutcome, change: Partial<HttpOutcome> = {}): Record<string, unknown> {
  const origin = { reporter: 'waypoint', dialled: 'v' } as const;
  const told = { ...http, ...change };
  return written(requestRecordOf(sourceFields(source), pathFields(path), askedFields(origin, told, null), outcome, told));
}

const http: HttpOutcome = {
  method: 'GET',
  path: '/x',
  authority: 'cart',
  protocol: 'HTTP/1.1',
  responseCode: 200,
  grpcStatus: null,
  route: null,
  requestId: 'id-1',
};

test("B64: a tunnel's line has ztunnel's fields", () =>
  assert.deepEqual(lineOf(source, { reporter: 'source', dialled: '240.0.0.1:80' }, path, carried), {
    'src.addr': '10.0.0.1:40000',
    'src.workload': 'client',
    'src.namespace': 'shop',
    'src.identity': 'spiffe://cluster.local/ns/shop/sa/client',
    'src.cluster': 'one',
    'dst.addr': '10.0.0.2:15008',
    'dst.hbone_addr': '10.0.0.2:8080',
    'dst.service': path.service?.hostname,
    'dst.workload': 'server',
    'dst.namespace': 'shop',
    'dst.identity': 'spiffe://cluster.local/ns/shop/sa/server',
    'dst.cluster': 'two',
    downstream_local_address: '240.0.0.1:80',
    direction: 'outbound',
    bytes_sent: 3,
    bytes_recv: 5,
    duration: '13ms',
    response_flags: '-',
  }));

test('requests of a connection that ask for the same share the text of it, and any other has its own', () => {
  const origin = { reporter: 'waypoint', dialled: 'v' } as const;
  const first = askedFields(origin, http, null);
  assert.equal(askedFields(origin, { ...http }, first), first);
  for (const change of [{ method: 'PUT' }, { path: '/y' }, { authority: 'till' }]) {
    const other = askedFields(origin, { ...http, ...change }, first);
    const line = written(requestRecordOf(sourceFields(source), pathFields(path), other, carried, { ...http, ...change }));
    assert.deepEqual(
      { method: line.method, path: line.path, authority: line.authority },
      { method: 'GET', path: '/x', authority: 'cart', ...change },
    );
  }
});

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
  const transport = { rttUs: 85, retransmits: 0 };
  const full = { ...carried, cause: 'policy', policy: 'shop/p', rule: 0, error: 'x', transport } as const;
  const listed = Object.keys(ACCESS_FIELDS);
  const lines = [
    lineOf(source, { reporter: 'source', dialled: 'v' }, { ...path, via: 'hbone' }, full),
    requestLine(full, { grpcStatus: '0', route: 'r' }),
  ].map((line) => Object.keys(line));
  assert.deepEqual(new Set(lines.flat()), new Set(listed));
  for (const fields of lines)
    assert.deepEqual(
      fields,
      listed.filter((field) => fields.includes(field)),
    );
});

test('what a line of a request says of its client and its path is what the line of a connection says', () => {
  const [request, connection] = [requestLine(carried), lineOf(source, { reporter: 'waypoint', dialled: 'v' }, path, carried)];
  for (const [field, value] of Object.entries(connection)) assert.equal(request[field], value, field);
});

test('a request of which nothing went wrong says so in no field of its own', () => {
  const line = requestLine(carried);
  assert.deepEqual(
    [line.response_code, line.error, line.response_code_details, line.direction],
    [200, undefined, undefined, undefined],
  );
  assert.equal(requestLine({ ...carried, error: 'route_not_found' }).response_code_details, 'route_not_found');
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
