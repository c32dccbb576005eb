import assert from 'node:assert/strict';
import test from 'node:test';
import { parser } from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { WaypointService } from '#model/waypoint/config.ts';

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
