import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { aService, aWorkload } from '#model/mesh/mesh-fixtures.testing.ts';
import { identityOf } from '#model/mesh/workload.ts';
import { NO_PATH, REFUSED_OUTCOME } from './access-record.ts';
import { compileLineFormat, lineFormat } from './line-format.ts';
import type { LineFacts, LineRequest } from './line-operators.ts';

const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2']);

const REQUEST: Readonly<Record<string, string>> = {
  ...{
    ':method': 'GET',
    ':path': '/p?q=1',
    ':authority': 'cart',
    'user-agent': 'me/1.0',
    'x-forged': 'a\r\n[b] "c" \\d\u0085\u2028',
  },
  ...{ 'x-long': 'x'.repeat(100_000), 'x-empty': '' },
};
const RESPONSE: Readonly<Record<string, string>> = { 'x-envoy-upstream-service-time': '7', 'content-type': 'text/plain' };

const HTTP: LineRequest = {
  ...{ method: 'GET', path: '/p', authority: 'cart', protocol: 'HTTP/1.1', responseCode: 200, grpcStatus: null },
  ...{ route: 'shop/r', requestId: 'id', attempts: 1, requestMs: 2, responseMs: 9, transportFailure: null },
  requestHeader: (name) => REQUEST[name] ?? null,
  responseHeader: (name) => RESPONSE[name] ?? null,
};

const FACTS: LineFacts = {
  startedMs: Date.UTC(2026, 2, 4, 5, 6, 7, 89),
  source: { end: { ip: parseIp('10.0.0.1'), port: 40_000 }, workload: client, identity: identityOf(client) },
  origin: { reporter: 'waypoint', dialled: '240.0.0.1:80' },
  path: {
    ...NO_PATH,
    end: { ip: parseIp('fd01::2'), port: 8_080 },
    service: aService('cart', ['240.0.0.1']),
    identity: identityOf(server),
  },
  outcome: { ...REFUSED_OUTCOME, flag: '-', cause: null, requestBytes: 3, responseBytes: 5, durationMs: 13 },
  cluster: 'inbound-vip|80|http|cart.shop.svc.cluster.local',
  serverName: null,
  http: HTTP,
};

function lineOf(format: string, change: Partial<LineFacts> = {}): string {
  return lineFormat(format).line({ ...FACTS, ...change });
}

/** A request with other facts. */
const http = (change: Partial<LineRequest>): Partial<LineFacts> => ({ http: { ...HTTP, ...change } });
const outcome = (change: Partial<LineFacts['outcome']>): Partial<LineFacts> => ({ outcome: { ...FACTS.outcome, ...change } });
/** What never got anywhere, and a connection that carried no request. */
const NOWHERE: Partial<LineFacts> = { path: NO_PATH, cluster: null };
const TCP: Partial<LineFacts> = { http: null, serverName: 'cart.example' };

const LINES: readonly (readonly [format: string, want: string, change?: Partial<LineFacts>])[] = [
  ['%START_TIME%', '2026-03-04T05:06:07.089Z'],
  ['%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%', '2026/03/04T05:06:07+0000 1772600767'],
  ['%START_TIME(%d/%b/%Y:%T.%3f %Z)%', '04/Mar/2026:05:06:07.089 UTC'],
  ['%START_TIME(%A %a %B %e %j %y %F %E3S %f %1f %%)%', 'Wednesday Wed March  4 063 26 2026-03-04 07.089 089000000 0 %'],
  ['%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%', 'HTTP/1.1 200 -'],
  ['%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%', '- 0 UF', { ...TCP, ...outcome({ flag: 'UF' }) }],
  ['%RESPONSE_FLAGS%', 'UF,URX', outcome({ flag: 'UF,URX' })],
  ['%RESPONSE_CODE_DETAILS%', 'via_upstream'],
  ['%RESPONSE_CODE_DETAILS%', 'no_healthy_upstream', outcome({ error: 'no healthy upstream' })],
  ['%RESPONSE_CODE_DETAILS%', '-', http({ responseCode: 0 })],
  [
    '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%',
    '- rbac_access_denied',
    { ...TCP, ...outcome({ error: 'rbac_access_denied' }) },
  ],
  ['%CONNECTION_TERMINATION_DETAILS%', '-', outcome({ error: 'x' })],
  ['%UPSTREAM_TRANSPORT_FAILURE_REASON%', 'no_route_to_host', http({ transportFailure: 'no route to host' })],
  ['%UPSTREAM_TRANSPORT_FAILURE_REASON%', 'no_answer', { ...TCP, ...outcome({ flag: 'UF', error: 'no answer' }) }],
  ['%BYTES_RECEIVED% %BYTES_SENT% %DURATION%', '3 5 13'],
  ['%DURATION%', '-', outcome({ durationMs: null })],
  ['%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', '2 9 4'],
  ['%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', '- - -', http({ requestMs: null, responseMs: null })],
  ['%GRPC_STATUS% %GRPC_STATUS_NUMBER%', 'Unavailable 14', http({ grpcStatus: '14' })],
  ['%GRPC_STATUS% %GRPC_STATUS_NUMBER%', '99 99', http({ grpcStatus: '99' })],
  ['%GRPC_STATUS% %GRPC_STATUS_NUMBER%', '- -'],
  ['%ROUTE_NAME% %UPSTREAM_REQUEST_ATTEMPT_COUNT%', 'shop/r 1'],
  ['%ROUTE_NAME% %UPSTREAM_REQUEST_ATTEMPT_COUNT%', '- 0', http({ route: '', attempts: 0 })],
  ['%REQUESTED_SERVER_NAME%', 'cart.example', TCP],
  ['%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%', `${FACTS.cluster} ${FACTS.cluster}`],
  ['%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_PORT%', '[fd01::2]:8080 [fd01::2]:8080 8080'],
  ['%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_LOCAL_ADDRESS%', 'fd01::2 -'],
  ['%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_PEER_URI_SAN% %UPSTREAM_REMOTE_PORT%', '- - - -', NOWHERE],
  ['%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%', '240.0.0.1:80 240.0.0.1 80'],
  ['%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%', 'fd00::1', { origin: { reporter: 'waypoint', dialled: '[fd00::1]:80' } }],
  ['%DOWNSTREAM_LOCAL_PORT%', '-', { origin: { reporter: 'waypoint', dialled: null } }],
  [
    '%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%',
    '10.0.0.1:40000 10.0.0.1 40000',
  ],
  ['%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%', '10.0.0.1:40000 10.0.0.1'],
  ['%DOWNSTREAM_PEER_URI_SAN%', 'spiffe://cluster.local/ns/shop/sa/client'],
  ['%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_REMOTE_PORT%', '- -', { source: { end: null, workload: null, identity: null } }],
  ['%REQ(:METHOD)% %REQ(:PATH)% %REQ_WITHOUT_QUERY(:PATH)%', 'GET /p?q=1 /p'],
  ['%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', '/p?q=1'],
  ['%REQ(User-Agent):2% %RESP(Content-Type?x-none):4%', 'me text'],
  ['%REQ(X-NONE)% %REQ(X-NONE?X-EMPTY)% %RESP(X-NONE)% %REQ(X-EMPTY)%', '- - - -'],
  ['%REQ(:METHOD)% %RESP(CONTENT-TYPE)%', '- -', TCP],
  ['100%% of %PROTOCOL%\n', '100% of HTTP/1.1'],
  ['%PROTOCOL%\\n', 'HTTP/1.1'],
  ['%PROTOCOL%\t%BYTES_SENT%', 'HTTP/1.1\t5'],
];

for (const [format, want, change] of LINES)
  test(`W70: ${JSON.stringify(format)} is ${want}`, () => assert.equal(lineOf(format, change), want));

test('W70: no client writes a line of its own, or ends a column: what could is escaped', () => {
  assert.equal(lineOf('"%REQ(X-FORGED)%"'), '"a\\x0d\\x0a[b] \\x22c\\x22 \\x5cd\\x85\\u2028"');
});

test('W70: a client makes no line as long as it likes', () => assert.equal(lineOf('%REQ(X-LONG)%'), `${'x'.repeat(512)}…`));

test('W70: the format of Istio has its 24 fields, in their order', () => {
  assert.equal(
    lineOf('istio', { ...NOWHERE, ...http({ responseCode: 503 }), ...outcome({ flag: 'UH', error: 'no_healthy_upstream' }) }),
    '[2026-03-04T05:06:07.089Z] "GET /p?q=1 HTTP/1.1" 503 UH no_healthy_upstream - "-" 3 5 13 7 "-" "me/1.0" "-" "cart" "-" - - 240.0.0.1:80 10.0.0.1:40000 - shop/r',
  );
  assert.deepEqual(lineFormat('istio').responseHeaders, ['x-envoy-upstream-service-time']);
});

const REFUSED: readonly (readonly [format: string, why: RegExp])[] = [
  ['%PROTOCOL% %NOBODY% x', /^%NOBODY% at character 12: it is not known here; known are START_TIME, REQ, /],
  ['%toString%', /^%toString at character 1: it is no whole operator/],
  ['%PROTOCOL', /^%PROTOCOL at character 1: it is no whole operator/],
  ['%REQ(A% %PROTOCOL%', /^%REQ at character 1: it is no whole operator/],
  ['%PROTOCOL% 5 % x', /^a % at character 14: it begins no operator/],
  ['%PROTOCOL(x)%', /^%PROTOCOL% at character 1: it takes no argument/],
  ['%PROTOCOL:3%', /^%PROTOCOL% at character 1: it takes no argument and no length/],
  ['%START_TIME:3%', /^%START_TIME% at character 1: it takes no length/],
  ['%START_TIME(%H %Q)%', /^a time at character 16: that is no conversion/],
  ['%REQ%', /^%REQ% at character 1: write REQ\(HEADER\)/],
  ['%REQ(a?b?c)%', /^%REQ% at character 1/],
  ['%RESP(a b)%', /^%RESP% at character 1/],
  ['%PROTOCOL%\n%PROTOCOL%', /^a control character at character 11: one request has one line/],
  ['Istio', /^"Istio" has no operator, and is no name of a format \(istio\)$/],
  ['', /^"" has no operator/],
];

for (const [format, why] of REFUSED)
  test(`W70: ${JSON.stringify(format)} is refused, and it is said what of it, and where`, () => {
    const found = compileLineFormat(format);
    assert.equal(found.kind, 'refused');
    assert.match(found.kind === 'refused' ? found.why : '', why);
    assert.throws(() => lineFormat(format), /the format of the access log/);
  });
