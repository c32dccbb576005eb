import assert from 'node:assert/strict';
import test from 'node:test';
import { create, fromBinary, type MessageInitShape, toBinary, toJson } from '@bufbuild/protobuf';
import { RateLimitResponse_Code as Code, RateLimitRequestSchema, RateLimitResponseSchema } from '#proto/rate_limit_pb.js';
import { decodeAnswer, encodeQuestion } from './question.ts';

const answerOf = (response: MessageInitShape<typeof RateLimitResponseSchema>) =>
  decodeAnswer(toBinary(RateLimitResponseSchema, create(RateLimitResponseSchema, response)));

test('W59: a question has the domain, the entries and the limit; one hit is not told, more are', () => {
  const descriptor = {
    entries: [
      ['policy', 'a/b'],
      ['header:x', 'é'],
    ],
    requests: 7,
    windowMs: 3_600_000,
  } as const;
  const asked = (hits?: number) =>
    toJson(RateLimitRequestSchema, fromBinary(RateLimitRequestSchema, encodeQuestion([descriptor], hits)));
  const want = {
    domain: 'weft',
    descriptors: [
      {
        entries: [
          { key: 'policy', value: 'a/b' },
          { key: 'header:x', value: 'é' },
        ],
        limit: { requestsPerUnit: 7, unit: 'HOUR' },
      },
    ],
  };
  assert.deepEqual(asked(), want);
  assert.deepEqual(asked(2), { ...want, hitsAddend: 2 });
});

test('W59: each window that a policy may have is a unit of the protocol', () => {
  const units = [1_000, 60_000, 3_600_000, 86_400_000].map((windowMs) => {
    const message = encodeQuestion([{ entries: [], requests: 1, windowMs }]);
    return fromBinary(RateLimitRequestSchema, message).descriptors[0]?.limit?.unit;
  });
  assert.deepEqual(units, [1, 2, 3, 4]);
});

test('W59: an answer: what is left of each, when it begins anew, headers and body', () => {
  const answer = answerOf({
    overallCode: Code.OVER_LIMIT,
    statuses: [
      {
        code: Code.OVER_LIMIT,
        currentLimit: { requestsPerUnit: 5, unit: 7 },
        durationUntilReset: { seconds: 2n, nanos: 500_000_000 },
      },
      { code: Code.OK, limitRemaining: 3 },
    ],
    responseHeadersToAdd: [
      { key: 'X-A', value: '1' },
      { key: 'Content-Type', rawValue: Buffer.from('text/html') },
      { key: '', value: 'x' },
    ],
    requestHeadersToAdd: [{ key: 'x-b', value: '2' }],
    rawBody: Buffer.from('no'),
  });
  assert.ok(answer.kind === 'answered');
  assert.equal(answer.over, true);
  assert.deepEqual(answer.statuses, [
    { over: true, limited: true, remaining: 0, resetMs: 2_500 },
    { over: false, limited: false, remaining: 3, resetMs: 0 },
  ]);
  assert.deepEqual(answer.toClient, [
    { name: 'x-a', value: '1', how: 'add' },
    { name: 'content-type', value: 'text/html', how: 'set' },
  ]);
  assert.deepEqual(answer.toUpstream, [{ name: 'x-b', value: '2', how: 'add' }]);
  assert.equal(Buffer.from(answer.body).toString(), 'no');
});

const NONE: { name: string; message: Uint8Array }[] = [
  { name: 'nothing', message: new Uint8Array() },
  { name: 'garbage', message: Buffer.from([0xff, 0xff, 0xff]) },
  { name: 'a code that is none', message: Buffer.from([0x08, 0x09]) },
];
for (const { name, message } of NONE)
  test(`W59: an answer that is ${name} has decided nothing`, () => assert.equal(decodeAnswer(message).kind, 'error'));
