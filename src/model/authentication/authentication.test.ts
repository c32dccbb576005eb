import assert from 'node:assert/strict';
import test from 'node:test';
import { judgeToken, type KeyedRule } from '#model/authentication/judge.ts';
import { claimHeaderNames, claimHeaders, tokensAt, withoutCookie, withoutParam } from '#model/authentication/locations.ts';
import { claimTexts, parseToken } from '#model/authentication/token.ts';
import type { JwtRule, TokenLocation } from '#model/waypoint/jwt.ts';

const RULE: JwtRule = {
  issuer: 'https://issuer',
  audiences: [],
  jwks: '',
  locations: [],
  forward: false,
  payloadHeader: '',
  claimHeaders: [],
  spaceDelimitedClaims: [],
};
const GOOD = { verifies: () => true, has: () => true };
const NOW_MS = 1_000_000_000;
const NOW = NOW_MS / 1_000;

function tokenOf(claims: object, head: object = { alg: 'ES256' }): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${encode(head)}.${encode(claims)}.c2ln`;
}

function judged(claims: object, rules: { rule?: Partial<JwtRule>; keys?: KeyedRule['keys'] }[] = [{}]): string {
  const token = parseToken(tokenOf({ iss: 'https://issuer', sub: 'me', ...claims }));
  assert.ok(token !== null);
  const keyed = rules.map(({ rule, keys }) => ({
    rule: { ...RULE, ...rule },
    keys: keys === undefined ? GOOD : keys,
  }));
  const verdict = judgeToken(token, keyed, NOW_MS);
  return verdict.kind === 'valid' ? verdict.who.principal : `${verdict.status} ${verdict.why}`;
}

const VERDICTS: { name: string; claims?: object; rules?: Parameters<typeof judged>[1]; want: string }[] = [
  { name: 'a valid one', want: 'https://issuer/me' },
  { name: 'of another issuer', claims: { iss: 'x' }, want: '401 Jwt issuer is not configured' },
  { name: 'without an issuer', claims: { iss: undefined }, want: '401 Jwt issuer is not configured' },
  {
    name: 'that nobody signed',
    rules: [{ keys: { verifies: () => false, has: () => true } }],
    want: '401 Jwt verification fails',
  },
  { name: 'whose keys are not known', rules: [{ keys: null }], want: '401 Jwks remote fetch is failed' },
  { name: 'that ended within the skew', claims: { exp: NOW - 59 }, want: 'https://issuer/me' },
  { name: 'that ended', claims: { exp: NOW - 61 }, want: '401 Jwt is expired' },
  { name: 'with an end that is no number', claims: { exp: 'never' }, want: '401 Jwt is expired' },
  { name: 'that begins within the skew', claims: { nbf: NOW + 59 }, want: 'https://issuer/me' },
  { name: 'that begins later', claims: { nbf: NOW + 61 }, want: '401 Jwt not yet valid' },
  { name: 'for an audience', claims: { aud: ['a', 'b'] }, rules: [{ rule: { audiences: ['b'] } }], want: 'https://issuer/me' },
  {
    name: 'for another',
    claims: { aud: 'a' },
    rules: [{ rule: { audiences: ['b'] } }],
    want: '403 Audiences in Jwt are not allowed',
  },
  { name: 'for nobody', rules: [{ rule: { audiences: ['b'] } }], want: '403 Audiences in Jwt are not allowed' },
  {
    name: 'that the second rule of its issuer takes',
    rules: [{ keys: null }, { rule: { issuer: 'x' } }, {}],
    want: 'https://issuer/me',
  },
];
for (const { name, claims = {}, rules, want } of VERDICTS)
  test(`W64 a token ${name}`, () => assert.equal(judged(claims, rules), want));

test('W64 what is no token: wrong parts, no JSON, extensions that must be understood, too long', () => {
  const good = tokenOf({});
  for (const text of ['', 'a', 'a.b', 'a.b.c', `${good}.d`, `${good}=`, good.replace('.', '..'), `x${good}`])
    assert.equal(parseToken(text), null, text);
  assert.equal(parseToken(tokenOf({}, { alg: 'ES256', crit: ['b64'] })), null);
  assert.equal(parseToken(tokenOf({}, { alg: 1 })), null);
  assert.equal(parseToken(tokenOf({ a: 'x'.repeat(20_000) })), null);
});

test('claims: nested, lists, texts that are lists, and what is none', () => {
  const claims = { group: 'admin', list: ['a', 1, true, {}], nested: { key: { deep: 'x' } }, scope: 'read write', own: 'a b' };
  assert.deepEqual(claimTexts(claims, ['group']), ['admin']);
  assert.deepEqual(claimTexts(claims, ['list']), ['a', '1', 'true']);
  assert.deepEqual(claimTexts(claims, ['nested', 'key', 'deep']), ['x']);
  assert.deepEqual(claimTexts(claims, ['scope'], ['scope']), ['read', 'write']);
  assert.deepEqual(claimTexts(claims, ['own']), ['a b']);
  for (const path of [['none'], ['group', 'x'], ['nested'], ['toString'], ['__proto__']])
    assert.deepEqual(claimTexts(claims, path), []);
});

const PLACES: { location: TokenLocation; headers?: Record<string, string[]>; query?: string; want: string[] }[] = [
  {
    location: { in: 'header', name: 'authorization', prefix: 'Bearer ' },
    headers: { authorization: ['Bearer a.b.c', 'Basic x', 'Bearer d'] },
    want: ['a.b.c', 'd'],
  },
  { location: { in: 'header', name: 'x-jwt', prefix: '' }, headers: { 'x-jwt': ['a.b.c'] }, want: ['a.b.c'] },
  { location: { in: 'header', name: 'x-jwt', prefix: '' }, headers: { 'x-jwt': [''] }, want: [] },
  { location: { in: 'query', name: 't' }, query: 'a=1&t=x&tt=y&t=z&t=', want: ['x', 'z'] },
  { location: { in: 'cookie', name: 't' }, headers: { cookie: ['a=1; t=x'] }, want: ['x'] },
];
for (const { location, headers = {}, query = '', want } of PLACES)
  test(`W64 tokens in ${JSON.stringify(location)}`, () => {
    const found = tokensAt(location, { query, headerValues: (name) => headers[name] ?? [] });
    assert.deepEqual(
      found.map(({ text }) => text),
      want,
    );
  });

test('W64 a token is taken out of where it was', () => {
  assert.equal(withoutParam('a=1&t=x&tt=y&t', 't'), 'a=1&tt=y');
  assert.equal(withoutParam('t=x', 't'), '');
  assert.equal(withoutCookie('a=1; t=x;b=2', 't'), 'a=1; b=2');
});

test('W64 claims become headers: never one that frames, nor a value that ends it', () => {
  const rule = {
    ...RULE,
    payloadHeader: 'X-Payload',
    claimHeaders: [
      { header: 'X-Group', claim: 'nested.group' },
      { header: 'x-admin', claim: 'admin' },
      { header: 'x-list', claim: 'list' },
      { header: 'Transfer-Encoding', claim: 'bad' },
      { header: 'x-bad', claim: 'bad' },
    ],
  };
  const claims = { nested: { group: 'a' }, admin: true, list: ['a'], bad: 'x\r\ny: z' };
  assert.deepEqual(claimHeaders(rule, claims, 'cGF5'), [
    ['x-payload', 'cGF5'],
    ['x-group', 'a'],
    ['x-admin', 'true'],
  ]);
  assert.deepEqual(claimHeaderNames([rule]), ['x-payload', 'x-group', 'x-admin', 'x-list', 'x-bad']);
});
