import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { CheckRequestSchema, CheckResponseSchema } from '#proto/external_authorization_pb.js';
import { type CheckFacts, decodeVerdict, encodeCheck } from './check.ts';

const verdictOf = (response: MessageInitShape<typeof CheckResponseSchema>) =>
  decodeVerdict(toBinary(CheckResponseSchema, create(CheckResponseSchema, response)));
const header = (key: string, change = {}) => ({ header: { key, value: 'v' }, ...change });

const KINDS: { name: string; response: MessageInitShape<typeof CheckResponseSchema>; want: string }[] = [
  { name: 'nothing', response: {}, want: 'allow' },
  { name: 'OK', response: { status: { code: 0 } }, want: 'allow' },
  { name: 'OK, and an answer for the client', response: { httpResponse: { case: 'deniedResponse', value: {} } }, want: 'error' },
  { name: 'PERMISSION_DENIED', response: { status: { code: 7 } }, want: 'deny' },
  {
    name: 'UNKNOWN, and what to change',
    response: { status: { code: 2 }, httpResponse: { case: 'okResponse', value: {} } },
    want: 'deny',
  },
  { name: 'that it has failed', response: { httpResponse: { case: 'errorResponse', value: {} } }, want: 'error' },
  {
    name: 'a status that is none',
    response: { status: { code: 7 }, httpResponse: { case: 'deniedResponse', value: { status: { code: 99 } } } },
    want: 'error',
  },
];
for (const { name, response, want } of KINDS) {
  test(`W67: a CheckResponse that says ${name}: ${want}`, () => assert.equal(verdictOf(response).kind, want));
}

test('W67: what is no CheckResponse has decided nothing', () =>
  assert.equal(decodeVerdict(Buffer.from([0xff, 0xff, 0xff])).kind, 'error'));

test('W67: a header replaces what is there unless it says otherwise; names are in lower case', () => {
  const headers = [
    header('A'),
    header('b', { append: true }),
    header('c', { append: false, appendAction: 1 }),
    header('d', { appendAction: 1 }),
    header('e', { appendAction: 2 }),
    header('f', { appendAction: 3 }),
    header(''),
    { header: { key: 'g', rawValue: Buffer.from([0xe4]) } },
  ];
  const verdict = verdictOf({ httpResponse: { case: 'okResponse', value: { headers } } });
  assert.ok(verdict.kind === 'allow');
  assert.deepEqual(
    verdict.toUpstream.map(({ name, value, how }) => `${name} ${value} ${how}`),
    ['a v set', 'b v add', 'c v set', 'd v absent', 'e v set', 'f v present', 'g ä set'],
  );
});

test('W67: what is asked has the names of Envoy’s definitions', () => {
  const peer = { address: '10.0.0.7', port: 4_000, principal: 'spiffe://cluster.local/ns/a/sa/b', service: 'b' };
  const facts: CheckFacts = {
    ...{ source: peer, destination: { ...peer, port: 80 }, startedMs: 1_500 },
    http: {
      ...{ id: 'id', method: 'PUT', target: '/a?b' },
      ...{ authority: 'cart', scheme: 'http', protocol: 'HTTP/2', contentLength: null },
      headers: ['cookie', 'a=1', 'cookie', 'b=2', 'x', '1', 'x', '2', '__proto__', 'z'],
      body: { bytes: Buffer.from('text'), asBytes: false },
    },
  };
  const { attributes } = fromBinary(CheckRequestSchema, encodeCheck(facts));
  const { http, time } = attributes?.request ?? {};
  assert.deepEqual([time?.seconds, time?.nanos, http?.size, http?.body, http?.rawBody.length], [1n, 500_000_000, -1n, 'text', 0]);
  assert.deepEqual(Object.entries(http?.headers ?? {}).toSorted(), [
    [':authority', 'cart'],
    [':method', 'PUT'],
    [':path', '/a?b'],
    [':scheme', 'http'],
    ['__proto__', 'z'],
    ['cookie', 'a=1; b=2'],
    ['x', '1,2'],
  ]);
  assert.equal(attributes?.destination?.address?.socketAddress?.portValue, 80);
});

test('W67: of a connection without HTTP both its ends are shown, and no request', () => {
  const peer = { address: '10.0.0.7', port: 4_000, principal: 'spiffe://cluster.local/ns/a/sa/b', service: 'b' };
  const bytes = encodeCheck({ source: peer, destination: { ...peer, port: 80 }, startedMs: 1_500, http: null });
  const { source, destination, request } = fromBinary(CheckRequestSchema, bytes).attributes ?? {};
  assert.deepEqual([source?.principal, destination?.address?.socketAddress?.portValue], [peer.principal, 80]);
  assert.deepEqual([request?.time?.seconds, request?.http], [1n, undefined]);
});
