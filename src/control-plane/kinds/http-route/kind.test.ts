import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { type RequestRouteResource, readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';

const PARENT = 'parentRefs: [{ group: "", kind: Service, name: reviews }]';
const rule = (text: string) => `{ ${PARENT}, rules: [{ ${text} }] }`;

/** The numbers are the rows of "Example mistakes" in the configuration reference. */
const mistakes: Mistake[] = [
  {
    name: '1: a Service parent without its group',
    spec: '{ parentRefs: [{ kind: Service, name: reviews }] }',
    at: 'spec.parentRefs[0]',
    says: /core group/,
    remedy: /^add group: ""$/,
  },
  {
    name: '3: a Service backend without port',
    spec: `{ ${PARENT}, rules: [{ backendRefs: [{ name: reviews }] }] }`,
    at: 'spec.rules[0].backendRefs[0].port',
    says: /required/,
    remedy: /add the port of the Service/,
  },
  {
    name: '5: a path without its slash',
    spec: `{ ${PARENT}, rules: [{ matches: [{ path: { value: api/v1 } }] }] }`,
    at: 'spec.rules[0].matches[0].path.value',
    says: /"api\/v1" must begin with \/ for PathPrefix/,
    remedy: /^use \/api\/v1$/,
  },
  {
    name: '6: a star in a prefix',
    severity: 'warning',
    spec: `{ ${PARENT}, rules: [{ matches: [{ path: { value: "/api/*" } }] }] }`,
    at: 'spec.rules[0].matches[0].path.value',
    says: /literal character.*PathPrefix \/api already covers/,
    remedy: /^write \/api$/,
  },
  {
    name: '7: prefix replacement without a prefix',
    spec: `{ ${PARENT}, rules: [{ matches: [{ path: { type: Exact, value: /x } }], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }] }] }`,
    at: 'spec.rules[0].filters[0]',
    says: /exactly one PathPrefix/,
    remedy: /ReplaceFullPath/,
  },
  {
    name: '8: a redirect with backends',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }], backendRefs: [{ name: a, port: 80 }] }] }`,
    at: 'spec.rules[0].filters[0]',
    says: /answers the request itself/,
    remedy: /remove backendRefs or the filter/,
  },
  {
    name: '9: an attempt that outlasts the request',
    spec: `{ ${PARENT}, rules: [{ timeouts: { request: 1s, backendRequest: 5s } }] }`,
    at: 'spec.rules[0].timeouts.backendRequest',
    says: /5s.*cannot outlast.*1s/,
    remedy: /lower backendRequest/,
  },
  {
    name: '10: a duration with a fraction',
    spec: `{ ${PARENT}, rules: [{ timeouts: { request: 1.5s } }] }`,
    at: 'spec.rules[0].timeouts.request',
    says: /fractions are not allowed/,
    remedy: /^write 1500ms$/,
  },
  {
    name: 'a pattern beyond RE2',
    spec: `{ ${PARENT}, rules: [{ matches: [{ headers: [{ name: x, type: RegularExpression, value: "(?=a)" }] }] }] }`,
    at: 'spec.rules[0].matches[0].headers[0].value',
    says: /the pattern/,
    remedy: /RE2/,
  },
  {
    name: 'the same parent twice',
    spec: '{ parentRefs: [{ group: "", kind: Service, name: a }, { group: "", kind: Service, name: a }] }',
    at: 'spec.parentRefs[0]',
    says: /more than once/,
    remedy: /sectionName/,
  },
  {
    name: 'a path with two slashes',
    spec: rule('matches: [{ path: { value: //a } }]'),
    at: 'spec.rules[0].matches[0].path.value',
    says: /must not contain \/\/ for PathPrefix/,
    remedy: /plain absolute path/,
  },
  {
    name: 'a path that climbs',
    spec: rule('matches: [{ path: { type: Exact, value: /a/.. } }]'),
    at: 'spec.rules[0].matches[0].path.value',
    says: /must not end with \/\.\. for Exact/,
    remedy: /plain absolute path/,
  },
  {
    name: 'a path with a space',
    spec: rule('matches: [{ path: { value: "/a b" } }]'),
    at: 'spec.rules[0].matches[0].path.value',
    says: /a character that paths do not have/,
    remedy: /plain absolute path/,
  },
  {
    name: 'a pseudo-header',
    spec: rule('matches: [{ headers: [{ name: ":method", value: GET }] }]'),
    at: 'spec.rules[0].matches[0].headers[0].name',
    says: /":method" does not have the required form/,
    remedy: /write a text that matches/,
  },
  {
    name: 'a path pattern beyond RE2',
    spec: rule('matches: [{ path: { type: RegularExpression, value: "/(?=a)" } }]'),
    at: 'spec.rules[0].matches[0].path.value',
    says: /the pattern/,
    remedy: /RE2/,
  },
  {
    name: 'one filter twice',
    spec: rule(
      'filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { remove: [a] } }, { type: RequestHeaderModifier, requestHeaderModifier: { remove: [b] } }]',
    ),
    at: 'spec.rules[0].filters[1]',
    says: /RequestHeaderModifier is listed twice/,
    remedy: /merge them/,
  },
  {
    name: 'settings of another filter',
    spec: rule('filters: [{ type: RequestHeaderModifier, responseHeaderModifier: { remove: [a] } }]'),
    at: 'spec.rules[0].filters[0].responseHeaderModifier',
    says: /does not belong to a filter of type RequestHeaderModifier/,
    remedy: /ResponseHeaderModifier/,
  },
  {
    name: 'a filter without settings',
    spec: rule('filters: [{ type: URLRewrite }]'),
    at: 'spec.rules[0].filters[0].urlRewrite',
    says: /type URLRewrite needs urlRewrite/,
    remedy: /^add urlRewrite$/,
  },
  {
    name: 'a path modifier with the value of the other',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplaceFullPath, replacePrefixMatch: / } } }] }] }`,
    at: 'spec.rules[0].filters[0].urlRewrite.path',
    says: /ReplaceFullPath needs replaceFullPath/,
    remedy: /write replaceFullPath/,
  },
  {
    name: 'a mirror with two shares',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 }, percent: 1, fraction: { numerator: 1 } } }] }] }`,
    at: 'spec.rules[0].filters[0].requestMirror',
    says: /exclude one another/,
    remedy: /keep one/,
  },
  {
    name: 'a mirror of more than all',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 }, fraction: { numerator: 3, denominator: 2 } } }] }] }`,
    at: 'spec.rules[0].filters[0].requestMirror.fraction',
    says: /more than all/,
    remedy: /up to the denominator/,
  },
  {
    name: 'a mirror without port',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a } } }] }] }`,
    at: 'spec.rules[0].filters[0].requestMirror.backendRef.port',
    says: /required/,
    remedy: /add the port/,
  },
  {
    name: 'CORS: a star beside others',
    spec: `{ ${PARENT}, rules: [{ filters: [{ type: CORS, cors: { allowMethods: ["*", PUT] } }] }] }`,
    at: 'spec.rules[0].filters[0].cors.allowMethods',
    says: /must stand alone/,
    remedy: /remove \*/,
  },
  {
    name: 'more retries than there are',
    severity: 'warning',
    spec: `{ ${PARENT}, rules: [{ retry: { attempts: 99 }, backendRefs: [{ name: a, port: 80 }] }] }`,
    at: 'spec.rules[0].retry.attempts',
    says: /99 retries are more/,
    remedy: /write 10 or less/,
  },
  {
    name: 'a session in a header with settings of cookies',
    spec: `{ ${PARENT}, rules: [{ sessionPersistence: { type: Header, cookieConfig: {} } }] }`,
    at: 'spec.rules[0].sessionPersistence',
    says: /belongs to type Cookie/,
    remedy: /remove it/,
  },
  {
    name: 'a permanent session without end',
    spec: `{ ${PARENT}, rules: [{ sessionPersistence: { cookieConfig: { lifetimeType: Permanent } } }] }`,
    at: 'spec.rules[0].sessionPersistence',
    says: /needs absoluteTimeout/,
    remedy: /add absoluteTimeout/,
  },
  {
    name: 'a session with a name that none can have',
    spec: `{ ${PARENT}, rules: [{ sessionPersistence: { sessionName: "a; b" } }] }`,
    at: 'spec.rules[0].sessionPersistence.sessionName',
    says: /neither a cookie nor a header/,
    remedy: /use letters/,
  },
  {
    name: 'a redirect and a rewrite',
    spec: rule(
      'filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }, { type: URLRewrite, urlRewrite: { hostname: a.b } }]',
    ),
    at: 'spec.rules[0].filters',
    says: /exclude one another/,
    remedy: /keep one/,
  },
  {
    name: 'no backend with a weight',
    severity: 'warning',
    spec: rule('backendRefs: [{ name: a, port: 80, weight: 0 }]'),
    at: 'spec.rules[0].backendRefs',
    says: /weight 0.*answered 500/,
    remedy: /above 0/,
  },
  {
    name: 'hostnames of a Service parent',
    severity: 'warning',
    spec: `{ ${PARENT}, hostnames: [a.example.com] }`,
    at: 'spec.hostnames',
    says: /ignored for a Service parent/,
    remedy: /remove spec.hostnames/,
  },
  {
    name: 'a method that is none',
    spec: rule('matches: [{ method: FETCH }]'),
    at: 'spec.rules[0].matches[0].method',
    says: /"FETCH" is not one of GET, HEAD/,
    remedy: /did you mean PATCH/,
  },
  {
    name: 'a backend weight below zero',
    spec: rule('backendRefs: [{ name: a, port: 80, weight: -1 }]'),
    at: 'spec.rules[0].backendRefs[0].weight',
    says: /-1 must be >= 0/,
    remedy: /limit of 0/,
  },
];
testMistakes('HTTPRoute', mistakes);

testAccepted('HTTPRoute', {
  'nothing but a parent': `{ ${PARENT} }`,
  'a Gateway as parent': '{ parentRefs: [{ name: way }] }',
  'one parent at two ports':
    '{ parentRefs: [{ group: "", kind: Service, name: a, port: 80 }, { group: "", kind: Service, name: a, port: 81 }] }',
  'an attempt as long as the request': rule('timeouts: { request: 1s, backendRequest: 1000ms }'),
  'no limit for the request': rule('timeouts: { request: 0s, backendRequest: 5s }'),
  'a pattern in RE2': rule('matches: [{ headers: [{ name: x, type: RegularExpression, value: "a+|b" }] }]'),
  'several mirrors': rule(
    'filters: [{ type: RequestMirror, requestMirror: { backendRef: { name: a, port: 80 } } }, { type: RequestMirror, requestMirror: { backendRef: { name: b, port: 80 } } }]',
  ),
  'prefix replacement of one prefix': rule(
    'matches: [{ path: { value: /a } }], filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }]',
  ),
});

test('a route has at most 128 matches over all of its rules', () => {
  const matches = (count: number) =>
    `matches: [${Array.from({ length: count }, (_, at) => `{ path: { value: /${at} } }`).join(', ')}]`;
  const rules = (...counts: number[]) => `{ ${PARENT}, rules: [${counts.map((count) => `{ ${matches(count)} }`).join(', ')}] }`;
  assert.deepEqual(findingsOf('HTTPRoute', rules(64, 64)), []);
  assert.deepEqual(findingsOf('HTTPRoute', rules(64, 64, 1)), ['error WEFT_FIELD_INVALID spec.rules']);
});

const durations: [text: string, ms: number][] = [
  ['0s', 0],
  ['1ms', 1],
  ['10s', 10_000],
  ['1m30s', 90_000],
  ['1h2m3s4ms', 3_723_004],
  ['1500ms', 1500],
];
for (const [text, ms] of durations) test(`${text} is ${ms} ms`, () => assert.equal(readDurationMs(text), ms));

const route = (spec: string) => readSpec<RequestRouteResource>('HTTPRoute', spec);

test('defaults: a route for everything, in its own namespace', () => {
  const { parents, hostnames, rules } = route('{ parentRefs: [{ name: way }] }');
  assert.deepEqual(parents, [
    { group: 'gateway.networking.k8s.io', kind: 'Gateway', namespace: 'default', name: 'way', sectionName: null, port: null },
  ]);
  assert.deepEqual(hostnames, []);
  assert.deepEqual(rules, [
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

test('a parent is read with its namespace, section and port', () => {
  const spec = '{ parentRefs: [{ group: "", kind: Service, namespace: far, name: a, sectionName: http, port: 80 }] }';
  assert.deepEqual(route(spec).parents, [
    { group: '', kind: 'Service', namespace: 'far', name: 'a', sectionName: 'http', port: 80 },
  ]);
});

const matches: { name: string; match: string; want: Partial<RequestRouteResource['rules'][number]['matches'][number]> }[] = [
  { name: 'an exact path', match: 'path: { type: Exact, value: /a }', want: { path: { type: 'exact', value: '/a' } } },
  { name: 'a prefix', match: 'path: { type: PathPrefix, value: /a }', want: { path: { type: 'prefix', value: '/a' } } },
  {
    name: 'a pattern',
    match: 'path: { type: RegularExpression, value: /a.* }',
    want: { path: { type: 'regex', value: '/a.*' } },
  },
  { name: 'a method', match: 'method: POST', want: { method: 'POST' } },
  {
    name: 'headers: lower case, and of equal names the first',
    match: 'headers: [{ name: X-A, value: "1" }, { name: x-a, value: "2" }, { name: b, type: RegularExpression, value: "." }]',
    want: {
      headers: [
        { name: 'x-a', type: 'exact', value: '1' },
        { name: 'b', type: 'regex', value: '.' },
      ],
    },
  },
  {
    name: 'query parameters: case counts',
    match: 'queryParams: [{ name: A, value: "1" }, { name: a, value: "2" }]',
    want: {
      queryParams: [
        { name: 'A', type: 'exact', value: '1' },
        { name: 'a', type: 'exact', value: '2' },
      ],
    },
  },
];
for (const { name, match, want } of matches) {
  test(`reads ${name}`, () => {
    const [read] = route(rule(`matches: [{ ${match} }]`)).rules[0]?.matches ?? [];
    assert.deepEqual({ ...read, ...want }, read);
  });
}

test('filters: header changes are read, the others are kept by their type', () => {
  const filters = [
    '{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: "1" }], add: [{ name: b, value: "2" }], remove: [c] } }',
    '{ type: ResponseHeaderModifier, responseHeaderModifier: { remove: [d] } }',
    '{ type: CORS, cors: {} }',
  ];
  const findings = findingsOf('HTTPRoute', rule(`filters: [${filters.slice(0, 2).join(', ')}]`));
  assert.deepEqual(findings, []);
  assert.deepEqual(route(rule(`filters: [${filters.slice(0, 2).join(', ')}]`)).rules[0]?.filters, [
    {
      kind: 'request-headers',
      changes: { set: [{ name: 'a', value: '1' }], add: [{ name: 'b', value: '2' }], remove: ['c'] },
    },
    { kind: 'response-headers', changes: { set: [], add: [], remove: ['d'] } },
  ]);
  const extension = rule('filters: [{ type: ExtensionRef, extensionRef: { group: g.io, kind: K, name: a } }]');
  assert.deepEqual(route(extension).rules[0]?.filters, [{ kind: 'unsupported', type: 'ExtensionRef' }]);
});

test('backends: weight 1 and the own namespace unless they say otherwise', () => {
  const backends =
    'backendRefs: [{ name: a, port: 80 }, { name: b, namespace: far, port: 81, weight: 9 }, { group: g.io, kind: K, name: c }]';
  assert.deepEqual(route(rule(backends)).rules[0]?.backends, [
    { group: '', kind: 'Service', namespace: 'default', name: 'a', port: 80, weight: 1, filters: [] },
    { group: '', kind: 'Service', namespace: 'far', name: 'b', port: 81, weight: 9, filters: [] },
    { group: 'g.io', kind: 'K', namespace: 'default', name: 'c', port: null, weight: 1, filters: [] },
  ]);
});

test('0s switches a timeout off', () => {
  const [read] = route(rule('name: r, timeouts: { request: 0s, backendRequest: 250ms }')).rules;
  assert.deepEqual([read?.name, read?.requestTimeoutMs, read?.backendTimeoutMs], ['r', null, 250]);
});
