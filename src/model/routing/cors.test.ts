import assert from 'node:assert/strict';
import test from 'node:test';
import { compileCors, preflightHeaders, sharedHeaders } from '#model/routing/cors.ts';
import type { HttpCors } from '#model/waypoint/filters.ts';

const CLOSED: HttpCors = {
  allowOrigins: [],
  allowCredentials: false,
  allowMethods: [],
  allowHeaders: [],
  exposeHeaders: [],
  maxAgeSeconds: 5,
};

const ORIGINS: { allow: string; yes: string[]; no: string[] }[] = [
  { allow: '*', yes: ['https://a.com', 'null'], no: [] },
  {
    allow: 'https://a.com',
    yes: ['https://a.com', 'https://A.com', 'https://a.com:443'],
    no: ['http://a.com', 'https://a.com:8443', 'https://x.a.com', 'https://a.com.evil', 'null', ''],
  },
  {
    allow: 'https://*.a.com',
    yes: ['https://x.a.com', 'https://x.y.a.com'],
    no: ['https://a.com', 'https://xa.com', 'https://.a.com', 'http://x.a.com', 'https://a.com@x.a.com'],
  },
  { allow: 'http://*', yes: ['http://a', 'http://b.c'], no: ['https://a', 'http://a:8080'] },
  { allow: 'http://*:8080', yes: ['http://a:8080'], no: ['http://a'] },
];

for (const { allow, yes, no } of ORIGINS)
  test(`CORS (config-api 1.8): origin ${allow}`, () => {
    const { allows } = compileCors({ ...CLOSED, allowOrigins: [allow] }, assert.fail);
    for (const origin of yes) assert.ok(allows(origin), origin);
    for (const origin of no) assert.ok(!allows(origin), origin);
  });

const ASKED = { origin: 'https://a.com', method: 'PUT', headers: 'x-a,x-b' };
const PREFLIGHTS: { name: string; cors: Partial<HttpCors>; asked?: object; want: string[] }[] = [
  {
    name: 'lists are told as they are',
    cors: { allowMethods: ['GET', 'PUT'], allowHeaders: ['x-a'], maxAgeSeconds: 60 },
    want: ['methods', 'GET, PUT', 'headers', 'x-a', 'max-age', '60'],
  },
  {
    name: 'stars stay stars',
    cors: { allowMethods: ['*'], allowHeaders: ['*'] },
    want: ['methods', '*', 'headers', '*', 'max-age', '5'],
  },
  {
    name: 'no stars with credentials',
    cors: { allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true },
    want: ['credentials', 'true', 'methods', 'PUT', 'headers', 'x-a,x-b', 'max-age', '5'],
  },
  {
    name: 'headers that were not asked for',
    cors: { allowHeaders: ['*'] },
    asked: { headers: null },
    want: ['max-age', '5'],
  },
];

for (const { name, cors, asked, want } of PREFLIGHTS)
  test(`CORS preflight (config-api 1.8): ${name}`, () => {
    const policy = compileCors({ ...CLOSED, allowOrigins: ['https://a.com'], ...cors }, assert.fail);
    const [, origin, ...pairs] = preflightHeaders(policy, { ...ASKED, ...asked });
    assert.equal(origin, 'https://a.com');
    assert.deepEqual(
      pairs.map((text) => text.replace(/^access-control-(allow-)?/, '')),
      want,
    );
    assert.deepEqual(preflightHeaders(policy, { ...ASKED, origin: 'https://b.com' }), []);
  });

test('CORS: exposed headers are named one by one where credentials are allowed', () => {
  const policy = (allowCredentials: boolean) => compileCors({ ...CLOSED, exposeHeaders: ['*'], allowCredentials }, assert.fail);
  assert.equal(sharedHeaders(policy(false), 'o', () => ['x-a']).at(-1), '*');
  assert.equal(sharedHeaders(policy(true), 'o', () => ['x-a', 'x-b']).at(-1), 'x-a, x-b');
});

test('config-api 4.4: origins of a VirtualService are compared as they are written', () => {
  const originMatches = [
    { type: 'exact', value: 'https://a.com' },
    { type: 'prefix', value: 'https://b.' },
    { type: 'regex', value: 'http://.*[.]c' },
  ] as const;
  const { allows } = compileCors({ ...CLOSED, originMatches, maxAgeSeconds: null }, assert.fail);
  const allowed = ['https://a.com', 'https://a.com:443', 'https://b.org', 'http://x.c', 'http://x.cd'].filter(allows);
  assert.deepEqual(allowed, ['https://a.com', 'https://b.org', 'http://x.c']);
  assert.deepEqual(preflightHeaders(compileCors({ ...CLOSED, originMatches, maxAgeSeconds: null }, assert.fail), ASKED), [
    'access-control-allow-origin',
    'https://a.com',
  ]);
});
