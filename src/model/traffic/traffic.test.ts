import assert from 'node:assert/strict';
import test from 'node:test';
import { parseIdentity } from '#model/identity/identity.ts';
import { compileFault, drawFault, httpStatusOf } from '#model/traffic/fault.ts';
import { compileTrafficMatch } from '#model/traffic/match.ts';
import { bucketKey, type KeyedRequest } from '#model/traffic/rate-limit.ts';
import { type Bucket, BucketTable, shareOf, takeToken } from '#model/traffic/token-bucket.ts';
import type { RateLimitKey, TrafficMatch } from '#model/waypoint/traffic.ts';

const FRONT = parseIdentity('spiffe://cluster.local/ns/web/sa/front');
const EVERYTHING: TrafficMatch = { methods: [], path: null, headers: [], queryParams: [], namespaces: [], serviceAccounts: [] };
const REQUEST: KeyedRequest = {
  method: 'GET',
  path: '/api/x',
  query: 'a=1&b=2',
  headerValues: (name) => (name === 'x-user' ? ['me', 'you'] : []),
  client: FRONT,
  address: '10.0.0.7',
  authenticated: {
    principal: 'issuer/me',
    claims: { sub: 'me', team: { name: 'a\nb', tags: ['x', 'y'] }, scope: 'read write' },
    spaceDelimitedClaims: ['scope'],
  },
};

const MATCHES: { name: string; match: Partial<TrafficMatch>; yes: boolean }[] = [
  { name: 'nothing', match: {}, yes: true },
  { name: 'a method', match: { methods: ['POST', 'GET'] }, yes: true },
  { name: 'another method', match: { methods: ['POST'] }, yes: false },
  { name: 'a path', match: { path: { type: 'prefix', value: '/api' } }, yes: true },
  { name: 'another path', match: { path: { type: 'exact', value: '/api' } }, yes: false },
  { name: 'a header', match: { headers: [{ name: 'X-User', type: 'exact', value: 'you' }] }, yes: true },
  { name: 'a query parameter', match: { queryParams: [{ name: 'b', type: 'exact', value: '1' }] }, yes: false },
  { name: 'a namespace', match: { namespaces: ['web'] }, yes: true },
  { name: 'another account', match: { namespaces: ['web'], serviceAccounts: ['web/back'] }, yes: false },
];
for (const { name, match, yes } of MATCHES)
  test(`traffic (config-api 6.3): a match by ${name}`, () => {
    const matches = compileTrafficMatch({ ...EVERYTHING, ...match }, assert.fail);
    assert.equal(matches?.(REQUEST, FRONT), yes);
  });

test('traffic: who has no identity is of no namespace; a pattern that cannot be used is told', () => {
  assert.equal(compileTrafficMatch({ ...EVERYTHING, namespaces: ['web'] }, assert.fail)?.(REQUEST, null), false);
  let told = '';
  const bad = { ...EVERYTHING, path: { type: 'regex' as const, value: '(' } };
  assert.equal(
    compileTrafficMatch(bad, (why) => {
      told = why;
    }),
    null,
  );
  assert.match(told, /pattern "\("/);
});

const KEYS: { key: RateLimitKey; value: string }[] = [
  { key: { type: 'service-account' }, value: 'web/front' },
  { key: { type: 'namespace' }, value: 'web' },
  { key: { type: 'address' }, value: '10.0.0.7' },
  { key: { type: 'method' }, value: 'GET' },
  { key: { type: 'path' }, value: '/api/x' },
  { key: { type: 'header', name: 'X-User' }, value: 'me' },
  { key: { type: 'header', name: 'x-none' }, value: '' },
  { key: { type: 'query', name: 'b' }, value: '2' },
  { key: { type: 'claim', path: ['sub'] }, value: 'me' },
  { key: { type: 'claim', path: ['team', 'name'] }, value: 'a\\nb' },
  { key: { type: 'claim', path: ['team', 'tags'] }, value: 'x,y' },
  { key: { type: 'claim', path: ['scope'] }, value: 'read,write' },
  { key: { type: 'claim', path: ['none'] }, value: '' },
];
for (const { key, value } of KEYS)
  test(`rate limit: the bucket of ${JSON.stringify(key)}`, () => assert.equal(bucketKey([key], REQUEST), value));

test('rate limit: several keys, none, and a client without identity', () => {
  assert.equal(bucketKey([{ type: 'namespace' }, { type: 'method' }], REQUEST), 'web\nGET');
  assert.equal(bucketKey([], REQUEST), '');
  assert.equal(bucketKey([{ type: 'service-account' }], { ...REQUEST, client: null }), '');
  assert.equal(bucketKey([{ type: 'claim', path: ['sub'] }], { ...REQUEST, authenticated: null }), '');
});

test('W58 a bucket: its burst at once, then as it fills; a refusal says when there is a token', () => {
  const rate = { requests: 10, windowMs: 1_000, burst: 3 };
  const bucket: Bucket = { tokens: 3, atMs: 0 };
  const take = (nowMs: number) => takeToken(bucket, rate, nowMs);
  assert.deepEqual([take(0).remaining, take(0).remaining, take(0).remaining], [2, 1, 0]);
  assert.deepEqual(take(0), { admitted: false, remaining: 0, waitMs: 100 });
  assert.equal(take(99).admitted, false);
  assert.equal(take(100).admitted, true);
  assert.deepEqual(take(10_000), { admitted: true, remaining: 2, waitMs: 100 });
  let admitted = 0;
  for (let ms = 20_000; ms < 30_000; ms++) if (take(ms).admitted) admitted++;
  assert.ok(Math.abs(admitted - 102) <= 1, String(admitted));
});

test('W58 a change of the limit keeps what is in the bucket', () => {
  const bucket: Bucket = { tokens: 100, atMs: 0 };
  for (let request = 0; request < 100; request++) takeToken(bucket, { requests: 100, windowMs: 1_000, burst: 100 }, 0);
  assert.equal(takeToken(bucket, { requests: 1_000, windowMs: 1_000, burst: 1_000 }, 0).admitted, false);
  bucket.tokens = 50;
  assert.equal(takeToken(bucket, { requests: 10, windowMs: 1_000, burst: 10 }, 0).remaining, 9);
});

test('rate limit: a share, and a table that forgets what was not used for longest', () => {
  assert.deepEqual(shareOf({ requests: 100, windowMs: 1_000, burst: 5 }, 2), { requests: 50, windowMs: 1_000, burst: 3 });
  const table = new BucketTable(2);
  const a = table.of('a', 1, 0);
  table.of('b', 1, 0);
  assert.equal(table.of('a', 1, 0), a);
  table.of('c', 1, 0);
  assert.equal(table.of('a', 1, 0), a);
  assert.equal(table.size, 2);
});

test('W61 faults are drawn by percentage, the delay and the abort each for itself', () => {
  const abort = { status: 503, grpcStatus: null, percentage: 50 };
  const fault = compileFault({ policy: 'p', match: null, delay: { durationMs: 9, percentage: 25 }, abort }, assert.fail);
  assert.ok(fault !== null);
  const draw = (...draws: number[]) => drawFault(fault, REQUEST, null, () => draws.shift() ?? 1);
  assert.deepEqual(draw(0.24, 0.5), { delayMs: 9, abort: null });
  assert.deepEqual(draw(0.25, 0.49), { delayMs: 0, abort });
  assert.equal(draw(0.9, 0.9), null);
  let aborted = 0;
  for (let request = 0; request < 10_000; request++) if (drawFault(fault, REQUEST, null, Math.random)?.abort != null) aborted++;
  assert.ok(Math.abs(aborted - 5_000) < 300, String(aborted));
  assert.deepEqual([httpStatusOf(14), httpStatusOf(16), httpStatusOf(99)], [503, 401, 500]);
});
