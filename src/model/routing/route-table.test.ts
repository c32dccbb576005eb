import assert from 'node:assert/strict';
import test from 'node:test';
import type { RoutedRequest } from '#model/routing/candidate.ts';
import { compileRoutes, matchRoute, routesOfPort } from '#model/routing/route-table.ts';
import type { HttpRoute, HttpRouteMatch, HttpRouteRule } from '#model/waypoint/config.ts';

const NO_FILTERS = { requestHeaders: null, responseHeaders: null, requestTimeoutMs: null };

function match(partial: Partial<HttpRouteMatch>): HttpRouteMatch {
  return { path: null, method: null, headers: [], queryParams: [], ...partial };
}

function rule(name: string, ...matches: HttpRouteMatch[]): HttpRouteRule {
  return { name, matches, backends: [{ service: 'shop/cart', port: 80, weight: 1 }], ...NO_FILTERS };
}

function route(name: string, rules: HttpRouteRule[], extra: Partial<HttpRoute> = {}): HttpRoute {
  return { namespace: 'shop', name, ports: null, clientNamespace: null, rules, ...extra };
}

function request(target: string, extra: { method?: string; headers?: Record<string, string[]> } = {}): RoutedRequest {
  const [path = '', query = ''] = target.split('?');
  const client = {
    scheme: 'http' as const,
    clientAuthority: 'cart.shop',
    port: 80,
    clientNamespace: null,
    claimValues: () => [],
  };
  return { method: extra.method ?? 'GET', path, query, headerValues: (name) => extra.headers?.[name] ?? [], ...client };
}

function winner(routes: HttpRoute[], asked: RoutedRequest, client: string | null = 'web', port = 80): string {
  const table = compileRoutes(routes, (why) => assert.fail(why));
  const decision = matchRoute(routesOfPort(table, port), { ...asked, clientNamespace: client });
  return decision.kind === 'matched' ? decision.rule.name : decision.kind;
}

const exact = (value: string) => match({ path: { type: 'exact', value } });
const prefix = (value: string) => match({ path: { type: 'prefix', value } });
const regex = (value: string) => match({ path: { type: 'regex', value } });
const header = (name: string, value: string, type: 'exact' | 'regex' = 'exact') => match({ headers: [{ name, type, value }] });
const query = (name: string, value: string, type: 'exact' | 'regex' = 'exact') => match({ queryParams: [{ name, type, value }] });

const MATCHING: { name: string; match: HttpRouteMatch; yes: RoutedRequest[]; no: RoutedRequest[] }[] = [
  {
    name: 'an exact path is case-sensitive and whole',
    match: exact('/a'),
    yes: [request('/a'), request('/a?x=1')],
    no: [request('/A'), request('/a/'), request('/ab')],
  },
  {
    name: 'a prefix compares whole elements',
    match: prefix('/abc'),
    yes: [request('/abc'), request('/abc/'), request('/abc/def')],
    no: [request('/abcd'), request('/ab')],
  },
  {
    name: 'a prefix ignores one trailing slash',
    match: prefix('/abc/'),
    yes: [request('/abc'), request('/abc/x')],
    no: [request('/abcd')],
  },
  { name: 'the prefix / matches everything', match: prefix('/'), yes: [request('/'), request('/x/y')], no: [] },
  {
    name: 'a regex matches the whole path without query',
    match: regex('/v[0-9]+/x.*'),
    yes: [request('/v12/xyz?q')],
    no: [request('/v/x'), request('/a/v1/x')],
  },
  {
    name: 'a method matches exactly',
    match: match({ method: 'POST' }),
    yes: [request('/', { method: 'POST' })],
    no: [request('/')],
  },
  {
    name: 'a header name is case-insensitive, its value is not',
    match: header('X-Role', 'admin'),
    yes: [request('/', { headers: { 'x-role': ['admin'] } })],
    no: [request('/', { headers: { 'x-role': ['Admin'] } }), request('/')],
  },
  {
    name: 'W76 header entries are tested one by one',
    match: header('x-role', 'admin'),
    yes: [request('/', { headers: { 'x-role': ['user', 'admin'] } })],
    no: [request('/', { headers: { 'x-role': ['user,admin'] } })],
  },
  {
    name: 'a header regex is a full match',
    match: header('x-v', 'v[12]', 'regex'),
    yes: [request('/', { headers: { 'x-v': ['v2'] } })],
    no: [request('/', { headers: { 'x-v': ['v22'] } })],
  },
  {
    name: 'a query parameter matches by its first value',
    match: query('a', '1'),
    yes: [request('/?a=1'), request('/?b=&a=1&a=2')],
    no: [request('/?a=2&a=1'), request('/?A=1'), request('/?aa=1'), request('/')],
  },
  {
    name: 'a query parameter may match by pattern',
    match: query('a', '[0-9]*', 'regex'),
    yes: [request('/?a=12'), request('/?a')],
    no: [request('/?a=x'), request('/?b')],
  },
];

for (const { name, match: matched, yes, no } of MATCHING) {
  test(`routing: ${name}`, () => {
    for (const asked of yes) assert.equal(winner([route('r', [rule('it', matched)])], asked), 'shop/r/it', asked.path);
    for (const asked of no) assert.equal(winner([route('r', [rule('it', matched)])], asked), 'not-found', asked.path);
  });
}

const all = (...parts: HttpRouteMatch[]): HttpRouteMatch => ({
  path: parts.find((part) => part.path !== null)?.path ?? null,
  method: parts.find((part) => part.method !== null)?.method ?? null,
  headers: parts.flatMap((part) => part.headers),
  queryParams: parts.flatMap((part) => part.queryParams),
});
const asked = request('/abc/def?q=1', { headers: { h: ['1'], i: ['1'] } });
const get = match({ method: 'GET' });

const PRECEDENCE: { name: string; better: HttpRouteMatch; worse: HttpRouteMatch }[] = [
  { name: 'exact beats prefix', better: exact('/abc/def'), worse: all(prefix('/abc/def'), get, header('h', '1')) },
  { name: 'a longer prefix beats a shorter', better: prefix('/abc'), worse: all(prefix('/'), get, header('h', '1')) },
  { name: 'prefix beats regex', better: prefix('/'), worse: all(regex('/abc/d.*'), get) },
  { name: 'a longer regex beats a shorter', better: regex('/abc/d.*'), worse: all(regex('/a.*'), get) },
  { name: 'a method beats headers', better: get, worse: all(header('h', '1'), header('i', '1')) },
  {
    name: 'more headers beat fewer',
    better: all(header('h', '1'), header('i', '1')),
    worse: all(header('h', '1'), query('q', '1')),
  },
  { name: 'query parameters count last', better: query('q', '1'), worse: match({}) },
];

for (const { name, better, worse } of PRECEDENCE) {
  test(`routing precedence (config-api 1.7): ${name}`, () => {
    assert.equal(
      winner([route('old', [rule('worse', worse)]), route('new', [rule('better', better)])], asked),
      'shop/new/better',
    );
    assert.equal(winner([route('one', [rule('b', better), rule('w', worse)])], asked), 'shop/one/b');
  });
}

test('routing precedence: the older route wins a tie, then the first rule', () => {
  const same = prefix('/abc');
  assert.equal(winner([route('old', [rule('x', same)]), route('new', [rule('y', same)])], asked), 'shop/old/x');
  assert.equal(winner([route('one', [rule('x', same), rule('y', same)])], asked), 'shop/one/x');
});

test('routing: each match of a rule competes by itself', () => {
  const rules = [rule('both', prefix('/zzz'), exact('/abc/def')), rule('prefix', prefix('/abc'))];
  assert.equal(winner([route('one', rules)], asked), 'shop/one/both');
});

test('routing: no route means unrouted, attached routes without match mean not found', () => {
  assert.equal(winner([], asked), 'unrouted');
  assert.equal(winner([route('r', [rule('x', exact('/nope'))])], asked), 'not-found');
  assert.equal(winner([route('r', [])], asked), 'not-found');
});

test('routing: a route of one port leaves the others unrouted', () => {
  const routes = [route('r', [rule('x')], { ports: [80] }), route('every', [rule('y', exact('/abc/def'))])];
  assert.equal(winner(routes, asked, 'web', 80), 'shop/every/y');
  assert.equal(winner([routes[0] ?? route('none', [])], asked, 'web', 81), 'unrouted');
  assert.equal(winner(routes, request('/other'), 'web', 81), 'not-found');
});

test('routing (config-api 1.12): consumer routes replace producer routes for clients of their namespace only', () => {
  const routes = [
    route('producer', [rule('p')]),
    route('consumer', [rule('c', exact('/only'))], { namespace: 'web', clientNamespace: 'web' }),
  ];
  assert.equal(winner(routes, request('/only'), 'web'), 'web/consumer/c');
  assert.equal(winner(routes, asked, 'web'), 'not-found');
  assert.equal(winner(routes, asked, 'bank'), 'shop/producer/p');
  assert.equal(winner(routes, asked, null), 'shop/producer/p');
  assert.equal(winner(routes.slice(1), asked, 'bank'), 'unrouted');
});

test('routing: a pattern that cannot be matched safely is left out and reported', () => {
  const problems: string[] = [];
  const table = compileRoutes([route('r', [rule('bad', regex('(a)\\1')), rule('', prefix('/'))])], (why) => problems.push(why));
  const decision = matchRoute(routesOfPort(table, 80), asked);
  assert.ok(decision.kind === 'matched');
  assert.equal(decision.rule.name, 'shop/r/1');
  assert.match(problems.join(), /HTTPRoute shop\/r: the pattern "\(a\)\\1" uses a back-reference/);
});

const call = (service: string | null, method: string | null, type: 'exact' | 'regex' = 'exact', headers: string[] = []) =>
  match({ grpc: { type, service, method }, headers: headers.map((name) => ({ name, type: 'exact' as const, value: '1' })) });

const CALLS: { name: string; match: HttpRouteMatch; yes: string[]; no: string[] }[] = [
  { name: 'a service and a method', match: call('a.B', 'C'), yes: ['/a.B/C'], no: ['/a.B/c', '/a.B/CC', '/a.BB/C', '/x/a.B/C'] },
  { name: 'a service', match: call('a.B', null), yes: ['/a.B/C', '/a.B/D'], no: ['/a.BB/C', '/a.B', '/'] },
  { name: 'a method of any service', match: call(null, 'C'), yes: ['/a.B/C', '/x/C'], no: ['/a.B/D', '/C'] },
  { name: 'everything', match: call(null, null), yes: ['/a.B/C'], no: [] },
  {
    name: 'patterns',
    match: call('a\\.(B|C)', 'G.*', 'regex'),
    yes: ['/a.B/Get', '/a.C/G'],
    no: ['/a.D/Get', '/a.B/XG', '/axB/G'],
  },
];
for (const { name, match: one, yes, no } of CALLS)
  test(`config-api 1.13: a call by ${name}`, () => {
    const routes = [route('r', [rule('it', one)])];
    for (const path of yes) assert.equal(winner(routes, request(path, { method: 'POST' })), 'shop/r/it', path);
    for (const path of no) assert.equal(winner(routes, request(path, { method: 'POST' })), 'not-found', path);
  });

test('config-api 1.13: the longer service wins, then the longer method, then more headers', () => {
  const headers = { a: ['1'], b: ['1'] };
  const contest = (...matches: HttpRouteMatch[]) =>
    winner(
      [
        route(
          'r',
          matches.map((one, at) => rule(String(at), one)),
        ),
      ],
      request('/a.B/Call', { headers }),
    );
  assert.equal(contest(call(null, 'Call'), call('a.B', null), call(null, null)), 'shop/r/1');
  assert.equal(contest(call('a.B', null), call('a.B', 'Call')), 'shop/r/1');
  assert.equal(contest(call('a.B', 'Call', 'exact', ['a']), call('a.B', 'Call', 'exact', ['a', 'b'])), 'shop/r/1');
  assert.equal(contest(call('a.B', 'Call'), call('a.B', 'Call')), 'shop/r/0');
});
