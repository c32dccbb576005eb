import assert from 'node:assert/strict';
import test from 'node:test';
import type { AuthorizerHttp } from '#model/waypoint/authorizer.ts';
import { compileHttpAuthorizer } from './http-check.ts';

const HTTP: AuthorizerHttp = {
  ...{ pathPrefix: '', sentHeaders: [], addedHeaders: [], toUpstream: [], toClientOnDeny: [], toClientOnAllow: [] },
};
const compiled = (change: Partial<AuthorizerHttp> = {}) => compileHttpAuthorizer({ ...HTTP, ...change });
const BODY = Buffer.from('no');

for (const [prefix, target, want] of [
  ['', '/a?b=c', '/a?b=c'],
  ['/check', '/a?b=c', '/check/a?b=c'],
  ['/check/', '/a', '/check/a'],
  ['/check', '*', '/check/'],
  ['', '*', '/'],
] as const) {
  test(`W67: asked about ${target} below "${prefix}": ${want}`, () =>
    assert.equal(compiled({ pathPrefix: prefix }).target(target), want));
}

const SENT: { name: string; change: Partial<AuthorizerHttp>; pairs: string[]; partial?: boolean; want: string[] }[] = [
  { name: 'nothing but authorization', change: {}, pairs: ['authorization', 'x', 'cookie', 'y'], want: ['authorization', 'x'] },
  {
    name: 'exact, beginning and end',
    change: { sentHeaders: ['a', 'b-*', '*-c'] },
    pairs: ['a', '1', 'ab', '2', 'b-', '3', 'b-x', '4', 'x-c', '5', 'x-cc', '6'],
    want: ['a', '1', 'b-', '3', 'b-x', '4', 'x-c', '5'],
  },
  {
    name: 'all, but what frames the message',
    change: { sentHeaders: ['*'] },
    pairs: ['a', '1', 'content-length', '9', 'te', 'trailers', 'expect', '100-continue', 'a', '2'],
    want: ['a', '1', 'a', '2'],
  },
  {
    name: 'what is added, and never what a client says of it',
    change: { sentHeaders: ['*'], addedHeaders: [{ name: 'a', value: 'ours' }] },
    pairs: ['a', 'theirs', 'b', '1'],
    want: ['b', '1', 'a', 'ours'],
  },
  {
    name: 'whether the body is whole, and never what a client says of that',
    change: { sentHeaders: ['*'] },
    pairs: ['x-envoy-auth-partial-body', 'false'],
    partial: true,
    want: ['x-envoy-auth-partial-body', 'true'],
  },
];
for (const { name, change, pairs, partial, want } of SENT) {
  test(`W67: an authorizer is shown ${name}`, () => assert.deepEqual(compiled(change).headers(pairs, partial ?? null), want));
}

for (const [status, want] of [
  [200, 'allow'],
  [201, 'deny'],
  [204, 'deny'],
  [302, 'deny'],
  [401, 'deny'],
  [499, 'deny'],
  [500, 'error'],
  [503, 'error'],
  [101, 'error'],
  [999, 'error'],
] as const) {
  test(`W67: an answer ${status} is ${want}`, () => assert.equal(compiled().verdict(status, [], BODY).kind, want));
}

test('W67: of an answer that denies a client gets all, or what is named and what says how to go on', () => {
  const pairs = ['x-a', '1', 'www-authenticate', 'Basic', 'location', '/', 'x-b', '2'];
  const of = (toClientOnDeny: string[]) => {
    const verdict = compiled({ toClientOnDeny }).verdict(401, pairs, BODY);
    return verdict.kind === 'deny' ? [verdict.status, verdict.body, verdict.headers.map(({ name }) => name).join()] : [];
  };
  assert.deepEqual(of([]), [401, BODY, 'x-a,www-authenticate,location,x-b']);
  assert.deepEqual(of(['x-b']), [401, BODY, 'www-authenticate,location,x-b']);
});

test('W67: of an answer that allows nothing goes on that is not named', () => {
  const pairs = ['x-a', '1', 'x-a', '2', 'x-b', '3', 'x-envoy-auth-headers-to-remove', 'One, two,,'];
  const bare = compiled().verdict(200, pairs, BODY);
  assert.deepEqual(bare.kind === 'allow' && [bare.toUpstream, bare.toClient, bare.removed], [[], [], ['one', 'two']]);
  const named = compiled({ toUpstream: ['x-a', '*'], toClientOnAllow: ['x-b'] }).verdict(200, pairs, BODY);
  assert.deepEqual(named.kind === 'allow' && [named.toUpstream, named.toClient], [
    [
      { name: 'x-a', value: '1', how: 'set' },
      { name: 'x-a', value: '2', how: 'add' },
      { name: 'x-b', value: '3', how: 'set' },
    ],
    [{ name: 'x-b', value: '3', how: 'set' }],
  ]);
});
