import assert from 'node:assert/strict';
import test from 'node:test';
import { type Mistake, readSpec, testAccepted, testMistakes } from '#control-plane/kinds/documents.testing.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { WaypointService } from '#model/waypoint/config.ts';
import { readCrds } from '#platform/files/crds.ts';
import { claimPath } from './read-limit.ts';
import type { TrafficPolicyResource } from './schema.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));
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

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: way } }
spec: { selector: { app: a }, ports: [{ name: http, port: 80 }, { name: admin, port: 90 }] }
---
{ apiVersion: v1, kind: Service, metadata: { name: plain, namespace: shop }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: r, namespace: shop }, spec: { parentRefs: [{ group: "", kind: Service, name: cart }], rules: [{ name: one, matches: [{ path: { value: /a } }], backendRefs: [{ name: cart, port: 80 }] }, { backendRefs: [{ name: cart, port: 80 }] }] } }
---
`;
const ROUTE = 'group: gateway.networking.k8s.io, kind: HTTPRoute, name: r';

function policy(name: string, target: string, blocks: string, created = '2026-01-01'): string {
  return `{ apiVersion: weft.dev/v1alpha1, kind: TrafficPolicy, metadata: { name: ${name}, namespace: shop, creationTimestamp: "${created}T00:00:00Z" }, spec: { targetRefs: [{ ${target} }], ${blocks} } }\n---\n`;
}

const limits = (name: string) => `rateLimit: { rules: [{ name: ${name}, limit: { requests: 1, window: 1s } }] }`;
const ABORT = 'faultInjection: { abort: { httpStatus: 503 } }';

function meshWith(...policies: string[]): YamlMesh {
  return new YamlMesh(parser, MESH + policies.join(''));
}

function cartOf(mesh: YamlMesh): WaypointService | undefined {
  return mesh.index.snapshot().waypoints.get('shop/way')?.services[0];
}

/** `port: rule of the limit, status of the abort`. */
function saidOf(mesh: YamlMesh): string[] {
  return (cartOf(mesh)?.traffic ?? []).map(
    ({ port, rateLimit, fault }) => `${port}: ${rateLimit?.rules[0]?.name ?? '-'} ${fault?.abort?.status ?? '-'}`,
  );
}

test('config-api 6.3: a service, and a port of it, block by block', () => {
  const mesh = meshWith(
    policy('p', 'kind: Service, name: cart', limits('whole')),
    policy('q', 'kind: Service, name: cart, sectionName: admin', ABORT),
  );
  assert.deepEqual(saidOf(mesh), ['null: whole -', '90: - 503']);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/p'), ['Accepted True Accepted', 'Programmed True Programmed']);
  assert.deepEqual(mesh.problems('TrafficPolicy shop/p'), []);
  mesh.remove('TrafficPolicy shop/p');
  mesh.remove('TrafficPolicy shop/q');
  assert.equal(cartOf(mesh)?.traffic, undefined);
});

test('config-api 6.3: a rule goes before its route', () => {
  const mesh = meshWith(
    policy('p', ROUTE, `${limits('whole')}, ${ABORT}`),
    policy('q', `${ROUTE}, sectionName: one`, limits('own')),
  );
  const rules = cartOf(mesh)?.routes[0]?.rules.map(({ traffic }) => [
    traffic?.rateLimit?.rules[0]?.name,
    traffic?.fault?.abort?.status,
  ]);
  assert.deepEqual(rules, [
    ['own', 503],
    ['whole', 503],
  ]);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/q'), ['Accepted True Accepted', 'Programmed True Programmed']);
});

test('config-api 6.3: of two that say the same the older one is heard, and the other is told whom', () => {
  const target = 'kind: Service, name: cart';
  const mesh = meshWith(policy('a', target, limits('young'), '2026-02-01'), policy('b', target, limits('old')));
  assert.deepEqual(saidOf(mesh), ['null: old -']);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/a'), ['Accepted False Conflicted', 'Programmed False Conflicted']);
  assert.match(
    mesh.problems('TrafficPolicy shop/a').join(),
    /TrafficPolicy shop\/b already says rateLimit of Service shop\/cart/,
  );
  mesh.remove('TrafficPolicy shop/b');
  assert.deepEqual(saidOf(mesh), ['null: young -']);
  assert.equal(mesh.conditions('TrafficPolicy shop/a')[0], 'Accepted True Accepted');
});

const ENTRY = `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: ext, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { hosts: [api.example.com], location: MESH_EXTERNAL, resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }], endpoints: [{ address: 192.0.2.9 }] } }
---
`;
const EXT = 'group: networking.istio.io, kind: ServiceEntry, name: ext';

test('config-api 6.3: a waypoint has a limit of its own, beside those of its services', () => {
  const gateway = 'group: gateway.networking.k8s.io, kind: Gateway, name: way';
  const mesh = meshWith(policy('p', gateway, limits('all')), policy('q', 'kind: Service, name: cart', limits('own')));
  const waypoint = () => mesh.index.snapshot().waypoints.get('shop/way');
  assert.equal(waypoint()?.rateLimit?.rules[0]?.name, 'all');
  assert.deepEqual(saidOf(mesh), ['null: own -']);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/p'), ['Accepted True Accepted', 'Programmed True Programmed']);
  mesh.remove('TrafficPolicy shop/p');
  assert.equal(waypoint()?.rateLimit, undefined);
});

test('config-api 6.3: a ServiceEntry, and a port of it, as a Service', () => {
  const mesh = meshWith(
    ENTRY,
    policy('p', EXT, `${limits('whole')}, circuitBreaker: { maxRequests: 7 }`),
    policy('q', `${EXT}, sectionName: http`, `${ABORT}, retryBudget: {}`),
  );
  const services = mesh.index.snapshot().waypoints.get('shop/way')?.services ?? [];
  const ext = services.find(({ key }) => key === 'shop/api.example.com');
  assert.deepEqual(
    ext?.traffic?.map(({ port, rateLimit, fault }) => [port, rateLimit?.rules[0]?.name, fault?.abort?.status]),
    [
      [null, 'whole', undefined],
      [80, undefined, 503],
    ],
  );
  assert.deepEqual(
    ext?.destinations?.map(({ port, circuitBreaker, retryBudget }) => [port, circuitBreaker?.maxRequests, retryBudget?.percent]),
    [
      [null, 7, undefined],
      [80, 7, 20],
    ],
  );
  for (const name of ['p', 'q'])
    assert.deepEqual(mesh.conditions(`TrafficPolicy shop/${name}`), ['Accepted True Accepted', 'Programmed True Programmed']);
});

const misses: { target: string; condition: string; says: RegExp }[] = [
  { target: 'kind: Service, name: crt', condition: 'Accepted False TargetNotFound', says: /Service shop\/crt not found.*cart/ },
  {
    target: 'kind: Service, name: cart, sectionName: web',
    condition: 'Accepted False TargetNotFound',
    says: /no port called web/,
  },
  { target: 'kind: Service, name: plain', condition: 'Programmed False AncestorNotBound', says: /has no waypoint/ },
  {
    target: 'group: gateway.networking.k8s.io, kind: Gateway, name: wya',
    condition: 'Accepted False TargetNotFound',
    says: /Gateway shop\/wya not found.*way/,
  },
  { target: `${EXT}x`, condition: 'Accepted False TargetNotFound', says: /ServiceEntry shop\/extx not found/ },
  {
    target: `${EXT}, sectionName: web`,
    condition: 'Accepted False TargetNotFound',
    says: /no port called web \(ports: http 80\)/,
  },
  { target: `${ROUTE}x`, condition: 'Accepted False TargetNotFound', says: /HTTPRoute shop\/rx not found/ },
  { target: `${ROUTE}, sectionName: two`, condition: 'Accepted False TargetNotFound', says: /no rule called two/ },
];
for (const { target, condition, says } of misses)
  test(`config-api 6.3: a target that gets nothing: ${target}`, () => {
    const mesh = meshWith(ENTRY, policy('p', target, target.includes('kind: Gateway') ? limits('all') : ABORT));
    assert.ok(mesh.conditions('TrafficPolicy shop/p').includes(condition), mesh.conditions('TrafficPolicy shop/p').join());
    assert.match(mesh.problems('TrafficPolicy shop/p').join(), says);
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

const counting = (more: string) => policy('p', 'kind: Service, name: cart', `rateLimit: { ${GLOBAL}, ${more} }`);
const LIMITS =
  '{ apiVersion: v1, kind: Service, metadata: { name: limits, namespace: infra }, spec: { selector: { app: l }, ports: [{ name: grpc, port: 81 }, { name: u, port: 82, protocol: UDP }] } }\n---\n';

const servers: { name: string; service: string; at?: string; says: RegExp }[] = [
  { name: 'none is named', service: '', says: /neither the policy nor the control plane names one: requests pass uncounted/ },
  {
    name: 'one that is not there',
    service: 'service: { name: limit, namespace: infra, port: 81 }, onServiceError: Deny',
    says: /Service infra\/limit not found.*limits.*: requests are refused/,
  },
  { name: 'one of another namespace', service: 'service: { name: limits, port: 81 }', says: /Service shop\/limits not found/ },
  {
    name: 'a port that is none',
    service: 'service: { name: limits, namespace: infra, port: 80 }',
    at: '.port',
    says: /no port 80 \(ports: grpc 81/,
  },
  {
    name: 'a port of UDP',
    service: 'service: { name: limits, namespace: infra, port: 82 }',
    at: '.port',
    says: /has no port 82/,
  },
];
for (const { name, service, at = '', says } of servers)
  test(`W59 a policy is refused alone whose rate limit service is unknown: ${name}`, () => {
    const mesh = meshWith(
      LIMITS,
      counting(service),
      policy('q', 'kind: Service, name: cart, sectionName: http', limits('other')),
    );
    assert.deepEqual(mesh.conditions('TrafficPolicy shop/p'), ['Accepted False Invalid', 'Programmed False Invalid']);
    assert.match(mesh.problems('TrafficPolicy shop/p').join(), says);
    const [problem] = mesh.index.snapshot().problems.get('TrafficPolicy shop/p' as ResourceName) ?? [];
    assert.equal(problem?.path.join('.'), `spec.rateLimit.service${at}`);
    assert.deepEqual(mesh.conditions('TrafficPolicy shop/q'), ['Accepted True Accepted', 'Programmed True Programmed']);
    // In force all the same: its local rules hold, and what nobody counts is judged as it says.
    assert.equal(cartOf(mesh)?.traffic?.[0]?.rateLimit?.global?.rules.length, 1);
  });

test('W59 the service that counts, by the policy or for the whole mesh; it may come after its policy', () => {
  const named = counting('service: { name: limits, namespace: infra, port: 81 }');
  const mesh = meshWith(named);
  const server = () => cartOf(mesh)?.traffic?.[0]?.rateLimit?.global?.server;
  assert.deepEqual(server(), { service: 'infra/limits.infra.svc.cluster.local', port: 81 });
  assert.equal(mesh.conditions('TrafficPolicy shop/p')[0], 'Accepted False Invalid');
  mesh.apply(LIMITS);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/p'), ['Accepted True Accepted', 'Programmed True Programmed']);
  mesh.remove('Service infra/limits');
  assert.equal(mesh.conditions('TrafficPolicy shop/p')[0], 'Accepted False Invalid');
  const rateLimitService = { namespace: 'infra', name: 'limits', port: 81 };
  const whole = new YamlMesh(parser, MESH + LIMITS + counting(''), { rateLimitService });
  assert.equal(whole.conditions('TrafficPolicy shop/p')[0], 'Accepted True Accepted');
  assert.deepEqual(cartOf(whole)?.traffic?.[0]?.rateLimit?.global?.server, server());
  whole.remove('Service infra/limits');
  assert.match(whole.problems('TrafficPolicy shop/p').join(), /which the control plane names for the mesh, not found/);
});

test('config-api 6.3: claims are named by paths, whose names may have dots of their own', () => {
  const paths = ['sub', 'user.id', '[https://example.com/team][name]', 'a..b', '', '[a]b', '[]'].map(claimPath);
  assert.deepEqual(paths, [['sub'], ['user', 'id'], ['https://example.com/team', 'name'], null, null, null, null]);
});
