import assert from 'node:assert/strict';
import test from 'node:test';
import { type RequestRouteResource, readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { formatFieldPath } from '#control-plane/resources/finding.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { CRD_FILES, KINDS } from '../list.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

const PARENT = { group: '', kind: 'Service', name: 'reviews' };

/** A route of one rule to one parent; `spec` says what else there is. */
function readingOf(rule: object, spec: object = {}) {
  return parser.read({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name: 'r', namespace: 'shop' },
    // A copy: the parser fills in defaults where they are missing.
    spec: structuredClone({ parentRefs: [PARENT], rules: [rule], ...spec }),
  });
}

/** The route as it is read. Errors: AssertionError when it is rejected. */
function read(rule: object, spec: object = {}): RequestRouteResource {
  const reading = readingOf(rule, spec);
  assert.ok(reading.kind === 'resource', JSON.stringify(reading));
  return reading.resource as RequestRouteResource;
}

const ruleOf = (rule: object) => read(rule).rules[0] ?? assert.fail();
const matchOf = (match: object) => ruleOf({ matches: [match] }).matches[0] ?? assert.fail();

test('what is not written has its default: every path, no timeouts, no backends', () => {
  assert.deepEqual(read({}).rules, [
    {
      name: '',
      matches: [{ path: { type: 'prefix', value: '/' }, method: null, headers: [], queryParams: [] }],
      filters: [],
      backends: [],
      requestTimeoutMs: null,
      backendTimeoutMs: null,
      retry: null,
      session: null,
    },
  ]);
});

test('a parent without a namespace is of the route’s own', () => {
  const parents = [PARENT, { ...PARENT, namespace: 'other', sectionName: 'http', port: 80 }];
  assert.deepEqual(read({}, { parentRefs: parents }).parents, [
    { ...PARENT, namespace: 'shop', sectionName: null, port: null },
    { ...PARENT, namespace: 'other', sectionName: 'http', port: 80 },
  ]);
});

test('of equal names only the first match counts; header names are equal whatever their case, parameters are not', () => {
  const values = [
    { name: 'Version', value: '1' },
    { name: 'version', value: '2' },
  ];
  const { headers, queryParams } = matchOf({ headers: values, queryParams: values });
  assert.deepEqual(headers, [{ name: 'version', type: 'exact', value: '1' }]);
  assert.deepEqual(
    queryParams.map(({ name, value }) => `${name}=${value}`),
    ['Version=1', 'version=2'],
  );
});

test('a match by pattern, path type and method', () => {
  const match = {
    path: { type: 'RegularExpression', value: '/v[0-9]+' },
    method: 'POST',
    headers: [{ name: 'x', type: 'RegularExpression', value: 'a|b' }],
  };
  assert.deepEqual(matchOf(match), {
    path: { type: 'regex', value: '/v[0-9]+' },
    method: 'POST',
    headers: [{ name: 'x', type: 'regex', value: 'a|b' }],
    queryParams: [],
  });
  assert.equal(matchOf({ path: { type: 'Exact', value: '/a' } }).path?.type, 'exact');
});

const timeouts: { text: string; want: number | null }[] = [
  { text: '10s', want: 10_000 },
  { text: '1m30s', want: 90_000 },
  { text: '1500ms', want: 1_500 },
  { text: '1h2m3s4ms', want: 3_723_004 },
  { text: '0s', want: null },
];
for (const { text, want } of timeouts) {
  test(`a time-out of ${text} is ${want === null ? 'none' : `${want} ms`}`, () => {
    const { requestTimeoutMs, backendTimeoutMs } = ruleOf({ timeouts: { request: text, backendRequest: text } });
    assert.deepEqual([requestTimeoutMs, backendTimeoutMs], [want, want]);
    assert.equal(readDurationMs(text), want ?? 0);
  });
}

test('filters for headers are read; others are known by their type, for what they do to requests', () => {
  const changes = { set: [{ name: 'a', value: '1' }], add: [{ name: 'b', value: '2' }], remove: ['c'] };
  const filters = [
    { type: 'RequestHeaderModifier', requestHeaderModifier: changes },
    { type: 'ResponseHeaderModifier', responseHeaderModifier: { remove: ['d'] } },
    { type: 'ExtensionRef', extensionRef: { group: 'g.io', kind: 'K', name: 'm' } },
  ];
  assert.deepEqual(ruleOf({ filters }).filters, [
    { kind: 'request-headers', changes },
    { kind: 'response-headers', changes: { set: [], add: [], remove: ['d'] } },
    { kind: 'unsupported', type: 'ExtensionRef' },
  ]);
});

test('a backend has weight one, the core group and the route’s namespace unless it says otherwise', () => {
  const backends = [
    { name: 'a', port: 80 },
    { name: 'b', port: 81, namespace: 'other', weight: 0 },
  ];
  assert.deepEqual(
    ruleOf({ backendRefs: backends }).backends.map(({ filters: _, ...rest }) => rest),
    [
      { group: '', kind: 'Service', namespace: 'shop', name: 'a', port: 80, weight: 1 },
      { group: '', kind: 'Service', namespace: 'other', name: 'b', port: 81, weight: 0 },
    ],
  );
});

type Mistake = { name: string; rule?: object; spec?: object; at: string; says: RegExp; severity?: 'warning' };

const pathAt = 'spec.rules[0].matches[0].path.value';
const path = (value: string, type = 'PathPrefix') => ({ matches: [{ path: { type, value } }] });
const filter = (type: string, settings: object = {}) => ({ filters: [{ type, ...settings }] });
const REDIRECT = { type: 'RequestRedirect', requestRedirect: { scheme: 'https' } };
const REWRITE = { type: 'URLRewrite', urlRewrite: { hostname: 'a.example' } };

const mistakes: Mistake[] = [
  { name: 'a path with two slashes', rule: path('/a//b'), at: pathAt, says: /must not contain \/\// },
  { name: 'a path with a dot segment', rule: path('/a/./b'), at: pathAt, says: /must not contain \/\.\// },
  { name: 'a path that climbs', rule: path('/a/../b'), at: pathAt, says: /must not contain \/\.\.\// },
  { name: 'a path that ends in climbing', rule: path('/a/..'), at: pathAt, says: /must not end with \/\.\./ },
  { name: 'a path with an escaped slash', rule: path('/a%2Fb'), at: pathAt, says: /must not contain %2F/ },
  { name: 'a path with a fragment', rule: path('/a#b'), at: pathAt, says: /must not contain #/ },
  { name: 'a path with a space', rule: path('/a b', 'Exact'), at: pathAt, says: /character that paths do not have/ },
  {
    name: 'a star in an exact path',
    rule: path('/a/*', 'Exact'),
    at: pathAt,
    says: /literal character here$/,
    severity: 'warning',
  },
  {
    name: 'a pattern that no waypoint can run',
    rule: path('(?=a)', 'RegularExpression'),
    at: pathAt,
    says: /the pattern "\(\?=a\)"/,
  },
  {
    name: 'a pattern for a header that is broken',
    rule: { matches: [{ headers: [{ name: 'x', type: 'RegularExpression', value: '(' }] }] },
    at: 'spec.rules[0].matches[0].headers[0].value',
    says: /the pattern "\("/,
  },
  {
    name: 'one for a parameter',
    rule: { matches: [{ queryParams: [{ name: 'x', type: 'RegularExpression', value: '[' }] }] },
    at: 'spec.rules[0].matches[0].queryParams[0].value',
    says: /the pattern "\["/,
  },
  {
    name: 'a filter without its settings',
    rule: filter('RequestRedirect'),
    at: 'spec.rules[0].filters[0].requestRedirect',
    says: /needs requestRedirect/,
  },
  {
    name: 'a filter with the settings of another',
    rule: filter('RequestRedirect', { requestRedirect: {}, urlRewrite: {} }),
    at: 'spec.rules[0].filters[0].urlRewrite',
    says: /does not belong to a filter of type RequestRedirect/,
  },
  {
    name: 'a filter twice',
    rule: { filters: [REWRITE, REWRITE] },
    at: 'spec.rules[0].filters[1]',
    says: /URLRewrite is listed twice/,
  },
  {
    name: 'a redirect and a rewrite',
    rule: { filters: [REDIRECT, REWRITE] },
    at: 'spec.rules[0].filters',
    says: /exclude one another/,
  },
  {
    name: 'a filter of a backend that lacks its settings',
    rule: { backendRefs: [{ name: 'a', port: 80, filters: [{ type: 'URLRewrite' }] }] },
    at: 'spec.rules[0].backendRefs[0].filters[0].urlRewrite',
    says: /needs urlRewrite/,
  },
  {
    name: 'backends that all weigh nothing',
    rule: { backendRefs: [{ name: 'a', port: 80, weight: 0 }] },
    at: 'spec.rules[0].backendRefs',
    says: /answered 500/,
    severity: 'warning',
  },
  {
    name: 'a parent twice',
    spec: { parentRefs: [PARENT, PARENT] },
    at: 'spec.parentRefs[1]',
    says: /Service reviews is listed more than once/,
  },
  {
    name: 'a parent as a whole and by a port',
    spec: { parentRefs: [PARENT, { ...PARENT, port: 80 }] },
    at: 'spec.parentRefs[0]',
    says: /listed more than once/,
  },
  {
    name: 'hostnames for a Service',
    spec: { hostnames: ['a.example'] },
    at: 'spec.hostnames',
    says: /hostnames are ignored/,
    severity: 'warning',
  },
  {
    name: 'more matches than a route may have',
    spec: {
      rules: Array.from({ length: 3 }, () => ({
        matches: Array.from({ length: 64 }, (_, at) => ({ path: { value: `/${at}` } })),
      })),
    },
    at: 'spec.rules',
    says: /192 matches in one route/,
  },
  {
    name: 'a method that there is not',
    rule: { matches: [{ method: 'GRAB' }] },
    at: 'spec.rules[0].matches[0].method',
    says: /"GRAB" is not one of/,
  },
  { name: 'a field misspelt', rule: { backendRef: [] }, at: 'spec.rules[0].backendRef', says: /did you mean "backendRefs"/ },
];
for (const { name, rule = {}, spec, at, says, severity = 'error' } of mistakes) {
  test(`a route with a mistake (${severity}): ${name}`, () => {
    const reading = readingOf(rule, spec);
    const problem = reading.problems.find((one) => formatFieldPath(one.path) === at);
    assert.ok(problem, `nothing found at ${at}: ${reading.problems.map((one) => formatFieldPath(one.path)).join(', ')}`);
    assert.match(problem.message, says);
    assert.notEqual(problem.remedy, '');
    assert.equal(problem.severity, severity);
    assert.equal(reading.kind, severity === 'error' ? 'rejected' : 'resource');
  });
}

const fine: { name: string; rule?: object; spec?: object }[] = [
  {
    name: 'two ports of one parent',
    spec: {
      parentRefs: [
        { ...PARENT, port: 80 },
        { ...PARENT, port: 81 },
      ],
    },
  },
  { name: 'one name in two namespaces', spec: { parentRefs: [PARENT, { ...PARENT, namespace: 'other' }] } },
  {
    name: 'two mirrors',
    rule: {
      filters: ['a', 'b'].map((name) => ({ type: 'RequestMirror', requestMirror: { backendRef: { name, port: 80 } } })),
    },
  },
  {
    name: 'prefix replacement with its one prefix',
    rule: {
      matches: [{ path: { value: '/a' } }],
      filters: [{ type: 'URLRewrite', urlRewrite: { path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } } }],
    },
  },
  { name: 'an attempt without limit in a request without limit', rule: { timeouts: { request: '0s', backendRequest: '9s' } } },
  { name: 'a path with escapes and all it may hold', rule: path("/a-Z_0.9~!$&'()+,;=:@%20") },
];
for (const { name, rule = {}, spec } of fine) {
  test(`no mistake in a route: ${name}`, () => assert.deepEqual(readingOf(rule, spec).problems, []));
}
