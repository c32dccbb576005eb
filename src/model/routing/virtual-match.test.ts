import assert from 'node:assert/strict';
import test from 'node:test';
import type { RoutedRequest } from '#model/routing/candidate.ts';
import { compileRoutes, matchRoute, routesOfPort } from '#model/routing/route-table.ts';
import type { HttpRouteRule } from '#model/waypoint/config.ts';
import type { StringMatch, VirtualMatch } from '#model/waypoint/virtual.ts';

const ANY: VirtualMatch = {
  ...{ uri: null, ignoreUriCase: false, scheme: null, method: null, authority: null, headers: [], withoutHeaders: [] },
  ...{ queryParams: [], port: null, sourceNamespace: null },
};
const REQUEST: RoutedRequest = {
  ...{ method: 'GET', path: '/a/b', query: 'x=1&y=22', scheme: 'http', clientAuthority: 'cart.shop:80', port: 80 },
  clientNamespace: 'web',
  claimValues: ([name = '', within]) => (name === 'group' ? ['staff', 'admin'] : within === 'role' ? ['a'] : []),
  headerValues: (name) => (name === 'end-user' ? ['jason', 'anna'] : []),
};

function rule(name: string, virtual?: VirtualMatch): HttpRouteRule {
  const nothing = { requestHeaders: null, responseHeaders: null, requestTimeoutMs: null };
  return {
    name,
    matches: [],
    ...(virtual && { virtual }),
    backends: [{ service: 'shop/cart', port: 80, weight: 1 }],
    ...nothing,
  };
}

function winner(
  rules: HttpRouteRule[],
  request: Partial<RoutedRequest> = {},
  problem = assert.fail as (why: string) => void,
): string {
  const route = { namespace: 'shop', name: 'v', ports: null, clientNamespace: null, inOrder: true as const, rules };
  const decision = matchRoute(routesOfPort(compileRoutes([route], problem), 80), { ...REQUEST, ...request });
  return decision.kind === 'matched' ? decision.rule.name : decision.kind;
}

const exact = (value: string): StringMatch => ({ type: 'exact', value });
const prefix = (value: string): StringMatch => ({ type: 'prefix', value });
const regex = (value: string): StringMatch => ({ type: 'regex', value });
const present: StringMatch = { type: 'present', value: '' };
const claim = (path: string[], value: string) => ({ name: '@request.auth.claims', claim: path, ...exact(value) });
const user = (match: StringMatch) => [{ name: 'end-user', ...match }];

const CASES: { name: string; match: Partial<VirtualMatch>; request?: Partial<RoutedRequest>; holds: boolean }[] = [
  { name: 'nothing', match: {}, holds: true },
  { name: 'an exact uri', match: { uri: exact('/a/b') }, holds: true },
  { name: 'the exact uri of something longer', match: { uri: exact('/a') }, holds: false },
  { name: 'a prefix by characters', match: { uri: prefix('/a/') }, holds: true },
  { name: 'a prefix within an element', match: { uri: prefix('/ab') }, request: { path: '/abc' }, holds: true },
  { name: 'a pattern of the whole uri', match: { uri: regex('/a') }, holds: false },
  { name: 'a pattern that fits', match: { uri: regex('/./.') }, holds: true },
  { name: 'case, which counts', match: { uri: exact('/A/b') }, holds: false },
  { name: 'case, which does not count', match: { uri: exact('/A/b'), ignoreUriCase: true }, holds: true },
  { name: 'the case of a prefix', match: { uri: prefix('/A/'), ignoreUriCase: true }, holds: true },
  { name: 'the case of a pattern, which always counts', match: { uri: regex('/A/b'), ignoreUriCase: true }, holds: false },
  { name: 'a scheme', match: { scheme: exact('https') }, holds: false },
  { name: 'a method', match: { method: exact('GET') }, holds: true },
  { name: 'a method by its beginning', match: { method: prefix('P') }, holds: false },
  { name: 'an authority', match: { authority: prefix('cart.') }, holds: true },
  { name: 'another authority', match: { authority: exact('cart.shop') }, holds: false },
  { name: 'a claim, of several', match: { headers: [claim(['group'], 'admin')] }, holds: true },
  { name: 'a claim within another', match: { headers: [claim(['realm', 'role'], 'a')] }, holds: true },
  { name: 'another claim', match: { headers: [claim(['group'], 'root')] }, holds: false },
  {
    name: 'a claim that nobody has proved',
    match: { headers: [claim(['group'], 'admin')] },
    request: { claimValues: () => [] },
    holds: false,
  },
  { name: 'a claim that must not be', match: { withoutHeaders: [claim(['group'], 'admin')] }, holds: false },
  { name: 'a header', match: { headers: user(exact('jason')) }, holds: true },
  { name: 'a second field of a header', match: { headers: user(exact('anna')) }, holds: true },
  { name: 'a header that is there', match: { headers: user(present) }, holds: true },
  { name: 'a header that is not', match: { headers: [{ name: 'x', ...present }] }, holds: false },
  { name: 'a header that must not be', match: { withoutHeaders: user(present) }, holds: false },
  { name: 'a value that a header must not have', match: { withoutHeaders: user(regex('an.*')) }, holds: false },
  { name: 'a value that it does not have', match: { withoutHeaders: user(exact('eve')) }, holds: true },
  { name: 'a header without which', match: { withoutHeaders: [{ name: 'x', ...exact('1') }] }, holds: true },
  { name: 'a parameter', match: { queryParams: [{ name: 'y', ...prefix('2') }] }, holds: true },
  { name: 'a parameter that is not there', match: { queryParams: [{ name: 'z', ...present }] }, holds: false },
  { name: 'a port', match: { port: 80 }, holds: true },
  { name: 'another port', match: { port: 81 }, holds: false },
  { name: "the client's namespace", match: { sourceNamespace: 'web' }, holds: true },
  {
    name: 'the namespace of a client without one',
    match: { sourceNamespace: 'web' },
    request: { clientNamespace: null },
    holds: false,
  },
  { name: 'two things of which one does not hold', match: { uri: prefix('/a'), method: exact('PUT') }, holds: false },
];
for (const { name, match, request, holds } of CASES) {
  test(`config-api 4.4: a VirtualService matches ${name}: ${holds}`, () =>
    assert.equal(winner([rule('it', { ...ANY, ...match })], request), holds ? 'shop/v/it' : 'not-found'));
}

test('config-api 4.4: the first rule that matches wins, however little it says', () => {
  const longest = rule('exact', { ...ANY, uri: exact('/a/b') });
  assert.equal(winner([rule('all'), longest]), 'shop/v/all');
  assert.equal(winner([longest, rule('all')]), 'shop/v/exact');
});

test('a pattern that cannot be used leaves its rule out, and is told', () => {
  const problems: string[] = [];
  const bad = rule('bad', { ...ANY, headers: user(regex('(?=a)')) });
  assert.equal(
    winner([bad, rule('all')], {}, (why) => problems.push(why)),
    'shop/v/all',
  );
  assert.match(problems.join(), /^VirtualService shop\/v: the pattern/);
});

test('config-api 4.4: what leads nowhere is answered 503, a subset that nobody told of has no endpoint', () => {
  const backends = [
    { service: null, port: 80, weight: 1 },
    { service: 'shop/cart', port: 80, weight: 1, subset: 'v1' },
    { service: 'shop/cart', port: 80, weight: 1, subset: 'v2' },
  ];
  const route = { namespace: 'shop', name: 'v', ports: null, clientNamespace: null, inOrder: true as const };
  const told = [{ service: 'shop/cart', name: 'v1', endpoints: ['a', 'b'] }];
  const table = compileRoutes([{ ...route, rules: [{ ...rule('r'), backends }] }], assert.fail, told);
  const decision = matchRoute(routesOfPort(table, 80), REQUEST);
  assert.ok(decision.kind === 'matched');
  const [nowhere, first, second] = decision.rule.targets.shares.map(({ target }) => target);
  assert.deepEqual(nowhere, { kind: 'invalid', why: 'no-cluster' });
  assert.ok(first?.kind === 'service' && second?.kind === 'service');
  assert.deepEqual(
    [first.subset, second.subset].map((subset) => [subset?.name, [...(subset?.endpoints ?? [])]]),
    [
      ['v1', ['a', 'b']],
      ['v2', []],
    ],
  );
});
