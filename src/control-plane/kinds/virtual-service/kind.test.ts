import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import type { VirtualServiceResource } from './resource.ts';
import { standInForVirtualService } from './stand-in.ts';

const TO = 'route: [{ destination: { host: reviews } }]';
const spec = (rule: string) => `{ hosts: [reviews], http: [{ ${rule} }] }`;
const AT = 'spec.http[0]';

const mistakes: Mistake[] = [
  { name: 'a rule that does nothing', spec: spec('name: a'), at: AT, says: /says not what to do/, remedy: /write route/ },
  {
    name: 'route and redirect',
    spec: spec(`${TO}, redirect: { uri: /a }`),
    at: AT,
    says: /route and redirect exclude one another/,
    remedy: /keep one/,
  },
  {
    name: 'redirect and fault',
    spec: spec('redirect: { uri: /a }, fault: { abort: { httpStatus: 500, percentage: { value: 1 } } }'),
    at: AT,
    says: /redirect and fault/,
    remedy: /keep one/,
  },
  {
    name: 'mirror and mirrors',
    spec: spec(`${TO}, mirror: { host: a }, mirrors: [{ destination: { host: a } }]`),
    at: `${AT}.mirrors`,
    says: /exclude one another/,
    remedy: /keep mirrors/,
  },
  {
    name: 'destinations without weights',
    spec: spec('route: [{ destination: { host: a } }, { destination: { host: b } }]'),
    at: `${AT}.route`,
    says: /weights come to 0/,
    remedy: /write weight/,
  },
  {
    name: 'a pattern that cannot be used',
    spec: spec(`match: [{ uri: { regex: "(?=a)" } }], ${TO}`),
    at: `${AT}.match[0].uri.regex`,
    says: /the pattern/,
    remedy: /RE2/,
  },
  {
    name: 'a path without its slash',
    spec: spec(`match: [{ uri: { prefix: api } }], ${TO}`),
    severity: 'warning',
    at: `${AT}.match[0].uri.prefix`,
    says: /fits no path/,
    remedy: /^write \/api$/,
  },
  {
    name: 'a pseudo-header',
    spec: spec(`match: [{ headers: { ":method": { exact: GET } } }], ${TO}`),
    at: `${AT}.match[0].headers[":method"]`,
    says: /no name of a header/,
    remedy: /match uri, method/,
  },
  {
    name: 'a claim without a name',
    spec: spec(`match: [{ headers: { "@request.auth.claims": { exact: a } } }], ${TO}`),
    at: `${AT}.match[0].headers["@request.auth.claims"]`,
    says: /names no claim/,
    remedy: /claims\[a\]\[b\]/,
  },
  {
    name: 'labels of clients',
    spec: spec(`match: [{ sourceLabels: { app: a } }], ${TO}`),
    severity: 'warning',
    at: `${AT}.match[0].sourceLabels`,
    says: /does not know the labels of clients, so this entry never matches/,
    remedy: /sourceNamespace/,
  },
  {
    name: 'an entry for other gateways',
    spec: spec(`match: [{ gateways: [ingress] }], ${TO}`),
    severity: 'warning',
    at: `${AT}.match[0].gateways`,
    says: /never matches/,
    remedy: /add mesh/,
  },
  {
    name: 'a route behind one that takes everything',
    spec: `{ hosts: [a], http: [{ ${TO} }, { match: [{ uri: { exact: /a } }], ${TO} }] }`,
    severity: 'warning',
    at: 'spec.http[1]',
    says: /http\[0\] has no match and takes every request/,
    remedy: /last/,
  },
  {
    name: 'a star as host',
    spec: `{ hosts: ["*"], http: [{ ${TO} }] }`,
    at: 'spec.hosts[0]',
    says: /stand alone/,
    remedy: /name/,
  },
  { name: 'no routes', spec: '{ hosts: [a] }', at: 'spec', says: /no routes/, remedy: /write http/ },
  {
    name: 'a delegate with TCP',
    spec: `{ http: [{ ${TO} }], tcp: [{ ${TO} }] }`,
    at: 'spec.tcp',
    says: /a delegate, which has no tcp/,
    remedy: /write hosts/,
  },
  {
    name: 'a delegate that delegates',
    spec: '{ http: [{ delegate: { name: d } }] }',
    at: `${AT}.delegate`,
    says: /one level only/,
    remedy: /write its routes here/,
  },
  {
    name: 'a delegate without a name',
    spec: spec('delegate: { namespace: shop }'),
    at: `${AT}.delegate`,
    says: /does not name the delegate/,
    remedy: /delegate.name/,
  },
  {
    name: 'a status of a redirect',
    spec: spec('redirect: { redirectCode: 300 }'),
    at: `${AT}.redirect.redirectCode`,
    says: /300/,
    remedy: /301/,
  },
  {
    name: 'a redirect with a query',
    spec: spec('redirect: { uri: "/a?b" }'),
    at: `${AT}.redirect.uri`,
    says: /more than a path/,
    remedy: /path alone/,
  },
  {
    name: 'an answer without meaning',
    spec: spec('directResponse: { status: 100 }'),
    at: `${AT}.directResponse.status`,
    says: /100/,
    remedy: /200 to 599/,
  },
  {
    name: 'an answer of bytes',
    spec: spec('directResponse: { status: 200, body: { bytes: "//79" } }'),
    at: `${AT}.directResponse.body`,
    says: /no text/,
    remedy: /write text/,
  },
  {
    name: 'an answer that is too large',
    spec: spec(`directResponse: { status: 200, body: { string: ${'x'.repeat(65_537)} } }`),
    at: `${AT}.directResponse.body`,
    says: /65537 bytes are more/,
    remedy: /let a service answer/,
  },
  { name: 'a time-out of nothing', spec: spec(`${TO}, timeout: 0s`), at: `${AT}.timeout`, says: /at least 1ms/, remedy: /1.5s/ },
  {
    name: 'a fault of no share',
    spec: spec(`${TO}, fault: { abort: { httpStatus: 500 } }`),
    severity: 'warning',
    at: `${AT}.fault.abort.percentage`,
    says: /done to no request/,
    remedy: /percentage/,
  },
  {
    name: 'a fault of more than all',
    spec: spec(`${TO}, fault: { delay: { fixedDelay: 1s, percentage: { value: 101 } } }`),
    at: `${AT}.fault.delay.percentage.value`,
    says: /101 is no percentage/,
    remedy: /0 to 100/,
  },
  {
    name: 'a fault that Istio does not have',
    spec: spec(`${TO}, fault: { abort: { http2Error: x, percentage: { value: 1 } } }`),
    at: `${AT}.fault.abort.http2Error`,
    says: /no errors of HTTP\/2/,
    remedy: /httpStatus/,
  },
  {
    name: 'a status of gRPC that there is not',
    spec: spec(`${TO}, fault: { abort: { grpcStatus: GONE, percentage: { value: 1 } } }`),
    at: `${AT}.fault.abort.grpcStatus`,
    says: /"GONE"/,
    remedy: /UNAVAILABLE/,
  },
  {
    name: 'retries without attempts',
    spec: spec(`${TO}, retries: { retryOn: 5xx }`),
    severity: 'warning',
    at: `${AT}.retries.attempts`,
    says: /nothing is tried again/,
    remedy: /how many/,
  },
  {
    name: 'a retry condition without effect',
    spec: spec(`${TO}, retries: { attempts: 1, retryOn: "5xx,retriable-headers" }`),
    severity: 'warning',
    at: `${AT}.retries.retryOn`,
    says: /no "retriable-headers"/,
    remedy: /remove it/,
  },
  {
    name: 'a header that frames its message',
    spec: spec(`${TO}, headers: { request: { set: { connection: close } } }`),
    severity: 'warning',
    at: `${AT}.headers.request.set.connection`,
    says: /frames its message/,
    remedy: /remove/,
  },
  {
    name: "an operator of Envoy's",
    spec: spec(`${TO}, headers: { response: { add: { x: "%REQ(:path)%" } } }`),
    severity: 'warning',
    at: `${AT}.headers.response.add.x`,
    says: /as it is written/,
    remedy: /value itself/,
  },
  {
    name: 'a prefix for metrics',
    spec: spec(`match: [{ statPrefix: a }], ${TO}`),
    severity: 'warning',
    at: `${AT}.match[0].statPrefix`,
    says: /no prefixes/,
    remedy: /remove it/,
  },
  {
    name: 'a field misspelt',
    spec: spec(`${TO}, timeouts: 1s`),
    at: `${AT}.timeouts`,
    says: /did you mean "timeout"/,
    remedy: /timeout/,
  },
];
testMistakes('VirtualService', mistakes);

testAccepted('VirtualService', {
  'the plainest one': spec(TO),
  'an authority by either name': spec(`${TO}, headers: { request: { set: { ":authority": a, Host: b } } }`),
  'all that goes together': spec(
    `match: [{ name: m, uri: { prefix: / }, ignoreUriCase: true, headers: { a: {} }, gateways: [mesh] }], ${TO}, timeout: 1.5s, retries: { attempts: 2, perTryTimeout: 250ms, retryOn: "gateway-error,unavailable", backoff: 30ms, retryIgnorePreviousHosts: true }, fault: { delay: { fixedDelay: 1s, percentage: { value: 0.5 } } }, mirrors: [{ destination: { host: b, subset: x }, percentage: { value: 10 } }], corsPolicy: { allowOrigins: [{ exact: "https://a" }], maxAge: 24h }, rewrite: { uri: /b, authority: c }`,
  ),
});

const ruleOf = (rule: string) => readSpec<VirtualServiceResource>('VirtualService', spec(rule)).http[0] ?? assert.fail();

test('config-api 4.4: an entry that can never hold is left out, and with the last of them the rule', () => {
  const both = ruleOf(`match: [{ sourceLabels: { a: b } }, { name: m, port: 80 }], ${TO}`).matches.map(({ name }) => name);
  const none = ruleOf(`match: [{ gateways: [ingress] }], ${TO}`).matches;
  assert.deepEqual([both, none], [['m'], []]);
});

test('W66 config-api 4.4: a claim stands in the place of a header, by its names as they are written', () => {
  const match =
    'headers: { "@request.auth.claims.Group": { exact: a }, "@request.auth.claims[https://x.y/t][Id]": {}, X-A: { exact: b } }';
  const [first] = ruleOf(`match: [{ ${match} }], ${TO}`).matches;
  assert.deepEqual(
    first?.match?.headers.map(({ name, claim, type }) => claim ?? `${name} ${type}`),
    [['Group'], ['https://x.y/t', 'Id'], 'x-a exact'],
  );
});

test('config-api 4.4: shares of mirrors, faults and retries in the words of the model', () => {
  const { mirrors, parts } = ruleOf(
    `${TO}, mirror: { host: B }, mirrorPercentage: { value: 0.5 }, fault: { delay: { fixedDelay: 2s, percent: 7 }, abort: { grpcStatus: unavailable, percentage: { value: 100 } } }, retries: { attempts: 0 }`,
  );
  assert.deepEqual(mirrors, [{ host: 'b', subset: null, port: null, numerator: 5000, denominator: 1_000_000 }]);
  assert.deepEqual(parts.traffic?.fault, {
    policy: 'VirtualService default/x',
    match: null,
    delay: { durationMs: 2000, percentage: 7 },
    abort: { status: null, grpcStatus: 14, percentage: 100 },
  });
  assert.deepEqual(parts.retry, {
    codes: [],
    attempts: 0,
    backoffMs: null,
    virtual: { intervalMs: null, grpcStatuses: [1, 14], unanswered: false },
  });
});

const redirects: { redirect: string; want: object }[] = [
  { redirect: '{ uri: /a }', want: { path: { kind: 'full', value: '/a' } } },
  { redirect: '{ authority: "a.example:8443", scheme: https }', want: { hostname: 'a.example', port: 8443, scheme: 'https' } },
  { redirect: '{ authority: "[2001:db8::1]:81" }', want: { hostname: '[2001:db8::1]', port: 81 } },
  { redirect: '{ port: 81, redirectCode: 308 }', want: { port: 81, status: 308 } },
  { redirect: '{ derivePort: FROM_REQUEST_PORT }', want: { portFrom: 'request' } },
  { redirect: '{ derivePort: FROM_PROTOCOL_DEFAULT }', want: { portFrom: 'scheme' } },
];
for (const { redirect, want } of redirects)
  test(`config-api 4.4: redirect ${redirect}`, () => {
    const nothing = { scheme: null, hostname: null, port: null, portFrom: 'authority', path: null, status: 301 };
    assert.deepEqual(ruleOf(`redirect: ${redirect}`).parts.redirect, { ...nothing, ...want });
  });

const EVERYTHING = { name: '', match: null };
const standIns: { name: string; spec: unknown; hosts: string[] | null }[] = [
  { name: 'one that injects faults', spec: { hosts: ['Cart'], http: [{ fault: 7 }] }, hosts: ['cart'] },
  { name: 'one whose rules cannot be read', spec: { hosts: ['cart', 7], http: 'all' }, hosts: ['cart'] },
  { name: 'one that only distributes', spec: { hosts: ['cart'], http: [{ route: 7, timeout: 1 }] }, hosts: null },
  { name: 'one without hosts', spec: { http: [{ headers: {} }] }, hosts: null },
  { name: 'one without HTTP', spec: { hosts: ['cart'], tcp: [] }, hosts: null },
];
for (const { name, spec: written, hosts } of standIns)
  test(`config-api 3.10: ${hosts === null ? 'nothing' : 'a refusal'} stands for ${name} that cannot be used`, () => {
    const found = standInForVirtualService({ metadata: { namespace: 'shop' }, spec: written }, 'v');
    const resource = (found?.resource ?? null) as VirtualServiceResource | null;
    assert.deepEqual(resource?.hosts ?? null, hosts);
    assert.deepEqual(
      resource?.http.map(({ destinations, matches }) => [destinations, matches]) ?? null,
      hosts && [[[], [EVERYTHING]]],
    );
  });
