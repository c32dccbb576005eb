import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { claimPath } from '#control-plane/mesh/claim-path.ts';
import type { TrafficPolicyResource } from './schema.ts';

const TARGET = 'targetRefs: [{ kind: Service, name: cart }]';
const LIMIT = 'name: all, limit: { requests: 10, window: 1s }';
const limited = (rule: string) => `{ ${TARGET}, rateLimit: { rules: [{ ${rule} }] } }`;
const faulty = (fault: string) => `{ ${TARGET}, faultInjection: { ${fault} } }`;
const RULE = 'spec.rateLimit.rules[0]';

const mistakes: Mistake[] = [
  {
    name: 'a target of another kind',
    spec: `{ targetRefs: [{ kind: Servce, name: a }], rateLimit: { rules: [{ ${LIMIT} }] } }`,
    at: 'spec.targetRefs[0].kind',
    says: /cannot be about a Servce.*Service/,
    remedy: /use one of Service/,
  },
  {
    name: 'a route without its group',
    spec: `{ targetRefs: [{ kind: HTTPRoute, name: a }], rateLimit: { rules: [{ ${LIMIT} }] } }`,
    at: 'spec.targetRefs[0].group',
    says: /gateway.networking.k8s.io/,
    remedy: /write group/,
  },
  {
    name: 'a section of a waypoint',
    spec: `{ targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: a, sectionName: b }], rateLimit: { rules: [{ ${LIMIT} }] } }`,
    at: 'spec.targetRefs[0].sectionName',
    says: /no sections/,
    remedy: /remove/,
  },
  {
    name: 'a fault of a waypoint',
    spec: '{ targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: a }], faultInjection: { abort: { httpStatus: 503 } } }',
    at: 'spec.faultInjection',
    says: /about a Service, not about a Gateway/,
    remedy: /policy of its own/,
  },
  {
    name: '41: a global limit of another window',
    spec: limited('scope: Global, name: a, limit: { requests: 10, window: 90s }'),
    at: `${RULE}.limit.window`,
    says: /1s, 1m, 1h or 24h, not of 90s/,
    remedy: /choose/,
  },
  ...['burst: 20', 'perReplica: true'].map(
    (field): Mistake => ({
      name: `a global limit with ${field}`,
      spec: limited(`scope: Global, name: a, limit: { requests: 10, window: 1s, ${field} }`),
      at: `${RULE}.limit.${field.slice(0, field.indexOf(':'))}`,
      says: /is for scope Local/,
      remedy: /remove/,
    }),
  ),
  ...['0ms', '11s'].map(
    (timeout): Mistake => ({
      name: `a wait of ${timeout}`,
      spec: `{ ${TARGET}, rateLimit: { timeout: ${timeout}, rules: [{ scope: Global, ${LIMIT} }] } }`,
      at: 'spec.rateLimit.timeout',
      says: /is not from 1ms to 10s/,
      remedy: /choose/,
    }),
  ),
  {
    name: 'a service that nobody asks',
    severity: 'warning',
    spec: `{ ${TARGET}, rateLimit: { service: { name: limits, port: 80 }, rules: [{ ${LIMIT} }] } }`,
    at: 'spec.rateLimit.service',
    says: /no rule has scope Global/,
    remedy: /Global/,
  },
  {
    name: '41: a burst below the rate',
    spec: limited('name: a, limit: { requests: 10, window: 1s, burst: 5 }'),
    at: `${RULE}.limit.burst`,
    says: /5 is lower than requests 10/,
    remedy: /at least requests/,
  },
  {
    name: 'a window beyond a day',
    spec: limited('name: a, limit: { requests: 1, window: 25h }'),
    at: `${RULE}.limit.window`,
    says: /25h is not from 1s to 24h/,
    remedy: /choose/,
  },
  {
    name: 'a key without name',
    spec: limited(`key: [{ type: Header }], ${LIMIT}`),
    at: `${RULE}.key[0].name`,
    says: /needs name/,
    remedy: /add name/,
  },
  {
    name: 'a key by no claim',
    spec: limited(`key: [{ type: JWTClaim }], ${LIMIT}`),
    at: `${RULE}.key[0].path`,
    says: /needs the path/,
    remedy: /such as sub/,
  },
  {
    name: 'a key by a claim without a name',
    spec: limited(`key: [{ type: JWTClaim, path: "a..b" }], ${LIMIT}`),
    at: `${RULE}.key[0].path`,
    says: /needs the path/,
    remedy: /such as sub/,
  },
  {
    name: 'a path of another key',
    spec: limited(`key: [{ type: Method, path: a }], ${LIMIT}`),
    at: `${RULE}.key[0].path`,
    says: /does not belong/,
    remedy: /remove path/,
  },
  {
    name: 'two rules of one name',
    spec: `{ ${TARGET}, rateLimit: { rules: [{ ${LIMIT} }, { ${LIMIT} }] } }`,
    at: 'spec.rateLimit.rules[1].name',
    says: /another rule is called all/,
    remedy: /name of its own/,
  },
  {
    name: 'a pattern beyond RE2',
    spec: limited(`match: { path: { type: RegularExpression, value: "(?=a)" } }, ${LIMIT}`),
    at: `${RULE}.match.path.value`,
    says: /pattern/,
    remedy: /RE2/,
  },
  {
    name: 'an abort of both sorts',
    spec: faulty('abort: { httpStatus: 503, grpcStatus: 14 }'),
    at: 'spec.faultInjection.abort',
    says: /either/,
    remedy: /one of the two/,
  },
  {
    name: 'a delay of hours',
    spec: faulty('delay: { duration: 2h }'),
    at: 'spec.faultInjection.delay.duration',
    says: /1ms to 1h/,
    remedy: /choose/,
  },
  {
    name: 'a fault of nothing',
    severity: 'warning',
    spec: faulty(''),
    at: 'spec.faultInjection',
    says: /nothing is injected/,
    remedy: /add delay/,
  },
  ...(['circuitBreaker: { maxRequests: 1 }', 'outlierDetection: {}', 'retryBudget: {}'] as const).map(
    (block): Mistake => ({
      name: `a route that is to have ${block}`,
      spec: `{ targetRefs: [{ group: gateway.networking.k8s.io, kind: HTTPRoute, name: r }], ${block} }`,
      at: `spec.${block.slice(0, block.indexOf(':'))}`,
      says: /is about a Service, not about a HTTPRoute/,
      remedy: /target is the Service/,
    }),
  ),
  ...[
    { at: 'outlierDetection.interval', block: 'outlierDetection: { interval: 0s }', says: /0s is not 1ms or more/ },
    {
      at: 'outlierDetection.maxEjectionTime',
      block: 'outlierDetection: { maxEjectionTime: 20s }',
      says: /30s at first, which is longer than maxEjectionTime 20s/,
    },
    { at: 'retryBudget.interval', block: 'retryBudget: { interval: 2h }', says: /2h is not from 1s to 1h/ },
    {
      at: 'retryBudget.minRetryRate.interval',
      block: 'retryBudget: { minRetryRate: { interval: 5ms } }',
      says: /5ms is not from 1s/,
    },
  ].map(
    ({ at, block, says }): Mistake => ({
      name: `of no use: ${block}`,
      spec: `{ ${TARGET}, ${block} }`,
      at: `spec.${at}`,
      says,
      remedy: /choose|write/,
    }),
  ),
  {
    name: 'a policy of nothing',
    severity: 'warning',
    spec: `{ ${TARGET} }`,
    at: 'spec',
    says: /says nothing/,
    remedy: /add rateLimit/,
  },
];
testMistakes('TrafficPolicy', mistakes);

const WHOLE = `{ targetRefs: [{ kind: Service, name: cart, sectionName: http }],
  rateLimit: { responseHeaders: DraftVersion03, rules: [{ name: a, match: { methods: [GET], path: { value: /api }, headers: [{ name: X-A, value: b }], queryParams: [{ name: q, value: r }], source: { namespaces: [web], serviceAccounts: [front, web/back] } },
    key: [{ type: SourceServiceAccount }, { type: SourceNamespace }, { type: SourceIP }, { type: Header, name: x-user }], limit: { requests: 100, window: 1m, burst: 150, perReplica: true }, shadow: true },
    { name: b, key: [{ type: QueryParam, name: q }, { type: Method }, { type: Path }], limit: { requests: 1, window: 1s } }] },
  faultInjection: { delay: { duration: 200ms, percentage: 5 }, abort: { httpStatus: 503, percentage: 1 } },
  circuitBreaker: { maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxConcurrentRetries: 4, maxRequestsPerConnection: 5 }, outlierDetection: {}, retryBudget: {} }`;
testAccepted('TrafficPolicy', { 'a whole policy': WHOLE });

test('config-api 6.3: a policy is read with its defaults filled in', () => {
  const { rateLimit, fault, targets, settings } = readSpec<TrafficPolicyResource>('TrafficPolicy', WHOLE);
  assert.deepEqual(targets, [{ kind: 'Service', name: 'cart', section: 'http' }]);
  assert.deepEqual(rateLimit, {
    policy: 'default/x',
    responseHeaders: true,
    global: null,
    rules: [
      {
        name: 'a',
        match: {
          methods: ['GET'],
          path: { type: 'prefix', value: '/api' },
          headers: [{ name: 'x-a', type: 'exact', value: 'b' }],
          queryParams: [{ name: 'q', type: 'exact', value: 'r' }],
          namespaces: ['web'],
          serviceAccounts: ['default/front', 'web/back'],
        },
        key: [{ type: 'service-account' }, { type: 'namespace' }, { type: 'address' }, { type: 'header', name: 'x-user' }],
        requests: 100,
        windowMs: 60_000,
        burst: 150,
        perReplica: true,
        shadow: true,
      },
      {
        name: 'b',
        match: null,
        key: [{ type: 'query', name: 'q' }, { type: 'method' }, { type: 'path' }],
        requests: 1,
        windowMs: 1_000,
        burst: 1,
        perReplica: false,
        shadow: false,
      },
    ],
  });
  assert.deepEqual(settings, {
    circuitBreaker: { maxConnections: 1, maxPendingRequests: 2, maxRequests: 3, maxRetries: 4, maxRequestsPerConnection: 5 },
    outlierDetection: {
      consecutive5xx: 5,
      consecutiveGatewayErrors: 0,
      consecutiveLocalFailures: null,
      intervalMs: 10_000,
      baseEjectionMs: 30_000,
      maxEjectionMs: 300_000,
      maxEjectionPercent: 10,
      minHealthPercent: 0,
    },
    retryBudget: { percent: 20, of: { kind: 'interval', intervalMs: 10_000, minPerSecond: 10 } },
  });
  assert.deepEqual(fault, {
    policy: 'default/x',
    match: null,
    delay: { durationMs: 200, percentage: 5 },
    abort: { status: 503, grpcStatus: null, percentage: 1 },
  });
  assert.equal(
    readSpec<TrafficPolicyResource>('TrafficPolicy', faulty('abort: { grpcStatus: 14 }')).fault?.abort?.percentage,
    100,
  );
});

const GLOBAL = `rules: [{ name: all, limit: { requests: 9, window: 1m } }, { name: g, scope: Global, match: { methods: [GET] }, key: [{ type: Path }], limit: { requests: 10, window: 1h }, shadow: true }]`;

test('config-api 6.3: global rules and who counts for them are read with their defaults', () => {
  const read = (more: string) =>
    readSpec<TrafficPolicyResource>('TrafficPolicy', `{ ${TARGET}, rateLimit: { ${GLOBAL}, ${more} } }`).rateLimit;
  const bare = read('');
  assert.deepEqual(
    bare?.rules.map(({ name }) => name),
    ['all'],
  );
  const match = { methods: ['GET'], path: null, headers: [], queryParams: [], namespaces: [], serviceAccounts: [] };
  const rule = { name: 'g', match, key: [{ type: 'path' }], requests: 10, windowMs: 3_600_000, shadow: true };
  assert.deepEqual(bare?.global, { service: null, timeoutMs: 20, failOpen: true, rules: [rule] });
  const said = read('service: { name: limits, port: 81 }, timeout: 1s500ms, onServiceError: Deny')?.global;
  assert.deepEqual(said?.service, { namespace: 'default', name: 'limits', port: 81 });
  assert.deepEqual([said?.timeoutMs, said?.failOpen], [1_500, false]);
  assert.equal(read('service: { name: limits, namespace: infra, port: 81 }')?.global?.service?.namespace, 'infra');
});

test('config-api 6.3: claims are named by paths, whose names may have dots of their own', () => {
  const paths = ['sub', 'user.id', '[https://example.com/team][name]', 'a..b', '', '[a]b', '[]'].map(claimPath);
  assert.deepEqual(paths, [['sub'], ['user', 'id'], ['https://example.com/team', 'name'], null, null, null, null]);
});

for (const { written, want } of [
  { written: '{}', want: { deviations: 1.9, minEndpoints: 5, minRequests: 100 } },
  {
    written: '{ stdevFactor: 2500, minimumHosts: 3, requestVolume: 10 }',
    want: { deviations: 2.5, minEndpoints: 3, minRequests: 10 },
  },
])
  test(`W55 a success rate of ${written} is read with the numbers of Envoy where none is written`, () => {
    const spec = `{ targetRefs: [{ group: "", kind: Service, name: s }], outlierDetection: { successRate: ${written} } }`;
    const { settings } = readSpec<TrafficPolicyResource>('TrafficPolicy', spec);
    assert.deepEqual(settings.outlierDetection?.successRate, want);
  });
