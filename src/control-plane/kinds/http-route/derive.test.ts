import assert from 'node:assert/strict';
import test from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { HttpRoute, WaypointConfig } from '#model/waypoint/config.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

function service(
  name: string,
  {
    namespace = 'shop',
    spec = 'ports: [{ name: http, port: 80 }, { name: admin, port: 9090 }]',
    labels = 'istio.io/use-waypoint: way',
  } = {},
): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: ${namespace}, labels: { ${labels} } }\nspec: { selector: { app: a }, ${spec} }\n`;
}

const GATEWAY = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;
const SHOP = [GATEWAY, service('reviews'), service('v1'), service('v2'), service('remote', { namespace: 'far', labels: '' })];

function route(spec: string, { name = 'r', namespace = 'shop', created = '' } = {}): string {
  return `apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: ${name}, namespace: ${namespace} ${created} }\nspec: { ${spec} }\n`;
}

function parent(more = '', name = 'reviews'): string {
  return `{ group: "", kind: Service, name: ${name}, namespace: shop ${more} }`;
}

const REVIEWS = `parentRefs: [${parent()}]`;

function configOf(mesh: YamlMesh): WaypointConfig | undefined {
  return mesh.index.snapshot().waypoints.get('shop/way');
}

function routesOf(mesh: YamlMesh, name = 'reviews'): readonly HttpRoute[] {
  return configOf(mesh)?.services.find(({ key }) => key === `shop/${name}.shop.svc.cluster.local`)?.routes ?? [];
}

function meshWith(...documents: string[]): YamlMesh {
  return new YamlMesh(parser, [...SHOP, ...documents].join('---\n'));
}

test('a waypoint is told the services bound to it, in order, and no others', () => {
  assert.deepEqual(
    configOf(meshWith())?.services.map(({ key }) => key),
    ['shop/reviews.shop.svc.cluster.local', 'shop/v1.shop.svc.cluster.local', 'shop/v2.shop.svc.cluster.local'],
  );
});

const attachments: { name: string; spec: string; want: readonly number[] | null | 'refused' }[] = [
  { name: 'every port', spec: REVIEWS, want: null },
  { name: 'a port by number', spec: `parentRefs: [${parent(', port: 9090')}]`, want: [9090] },
  { name: 'a port by name', spec: `parentRefs: [${parent(', sectionName: admin')}]`, want: [9090] },
  { name: 'a port by both', spec: `parentRefs: [${parent(', sectionName: admin, port: 9090')}]`, want: [9090] },
  { name: 'a port by both that disagree', spec: `parentRefs: [${parent(', sectionName: admin, port: 80')}]`, want: 'refused' },
  {
    name: 'two ports',
    spec: `parentRefs: [${parent(', sectionName: admin')}, ${parent(', sectionName: http')}]`,
    want: [80, 9090],
  },
  { name: 'a port that the service does not have', spec: `parentRefs: [${parent(', port: 8080')}]`, want: 'refused' },
  { name: 'a service that does not exist', spec: `parentRefs: [${parent('', 'review')}]`, want: 'refused' },
];
for (const { name, spec, want } of attachments) {
  test(`a route attaches to ${name}`, () => {
    const mesh = meshWith(route(spec));
    const [found] = routesOf(mesh);
    assert.deepEqual(found === undefined ? 'refused' : found.ports, want);
    const accepted = mesh.conditions('HTTPRoute shop/r')[0];
    assert.equal(accepted, want === 'refused' ? 'Accepted False NoMatchingParent' : 'Accepted True Accepted');
  });
}

for (const spec of ['clusterIP: None, ports: [{ port: 80 }]', 'type: ExternalName, externalName: example.com']) {
  test(`a route does not attach to a service with ${spec}`, () => {
    const mesh = meshWith(service('odd', { spec }), route(`parentRefs: [${parent('', 'odd')}]`));
    assert.equal(mesh.conditions('HTTPRoute shop/r')[0], 'Accepted False NoMatchingParent');
  });
}

test('matches, header changes, timeouts and weights are carried over', () => {
  const rule = `{ name: one, matches: [{ path: { type: Exact, value: /a }, method: GET, headers: [{ name: X-Who, value: me }, { name: x-who, value: you }], queryParams: [{ name: q, type: RegularExpression, value: "a+" }] }],
    filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { set: [{ name: a, value: b }], remove: [c] } }, { type: ResponseHeaderModifier, responseHeaderModifier: { add: [{ name: d, value: e }] } }],
    backendRefs: [{ name: v1, port: 80, weight: 90 }, { name: v2, port: 80, weight: 10 }], timeouts: { request: 1m30s, backendRequest: 500ms } }`;
  const [found] = routesOf(meshWith(route(`${REVIEWS}, rules: [${rule}]`)));
  assert.deepEqual(found?.rules, [
    {
      name: 'one',
      matches: [
        {
          path: { type: 'exact', value: '/a' },
          method: 'GET',
          headers: [{ name: 'x-who', type: 'exact', value: 'me' }],
          queryParams: [{ name: 'q', type: 'regex', value: 'a+' }],
        },
      ],
      backends: [
        { service: 'shop/v1.shop.svc.cluster.local', port: 80, weight: 90 },
        { service: 'shop/v2.shop.svc.cluster.local', port: 80, weight: 10 },
      ],
      requestHeaders: { set: [{ name: 'a', value: 'b' }], add: [], remove: ['c'] },
      responseHeaders: { set: [], add: [{ name: 'd', value: 'e' }], remove: [] },
      requestTimeoutMs: 90_000,
      backendTimeoutMs: 500,
    },
  ]);
});

const timeouts: { timeouts: string; want: (number | null)[] }[] = [
  { timeouts: '{}', want: [null, null] },
  { timeouts: '{ request: 0s }', want: [null, null] },
  { timeouts: '{ request: 2s }', want: [2000, null] },
  { timeouts: '{ backendRequest: 1h2m3s4ms }', want: [null, 3_723_004] },
  { timeouts: '{ request: 0s, backendRequest: 5s }', want: [null, 5000] },
];
for (const one of timeouts) {
  test(`timeouts ${one.timeouts} come to ${one.want}`, () => {
    const [found] = routesOf(meshWith(route(`${REVIEWS}, rules: [{ timeouts: ${one.timeouts} }]`)));
    const { requestTimeoutMs, backendTimeoutMs = null } = found?.rules[0] ?? {};
    assert.deepEqual([requestTimeoutMs, backendTimeoutMs], one.want);
  });
}

const backends: { name: string; backend: string; namespace?: string; reason: string; says?: RegExp }[] = [
  { name: 'a service of the namespace', backend: '{ name: v1, port: 80 }', reason: 'True ResolvedRefs' },
  {
    name: 'a producer may send to another namespace',
    backend: '{ name: remote, namespace: far, port: 80 }',
    reason: 'True ResolvedRefs',
  },
  {
    name: 'a missing service',
    backend: '{ name: v3, port: 80 }',
    reason: 'False BackendNotFound',
    says: /shop\/v3 not found.*100 % of the requests that match are answered 500/,
  },
  {
    name: 'a missing port',
    backend: '{ name: v1, port: 8080 }',
    reason: 'False BackendNotFound',
    says: /no port 8080 \(ports: http 80, admin 9090\)/,
  },
  { name: 'another kind', backend: '{ group: example.com, kind: Bucket, name: b }', reason: 'False InvalidKind', says: /Bucket/ },
  {
    name: 'a consumer may not borrow the waypoint’s identity for a third namespace',
    namespace: 'client',
    backend: '{ name: remote, namespace: far, port: 80 }',
    reason: 'False RefNotPermitted',
    says: /namespace client for a service of shop may not send to namespace far/,
  },
  {
    name: 'a consumer may send back to the service’s namespace',
    namespace: 'client',
    backend: '{ name: v1, namespace: shop, port: 80 }',
    reason: 'True ResolvedRefs',
  },
  {
    name: 'filters of one backend',
    backend: '{ name: v1, port: 80, filters: [{ type: RequestHeaderModifier, requestHeaderModifier: { remove: [a] } }] }',
    reason: 'True ResolvedRefs',
  },
  {
    name: 'a redirect by one backend',
    backend: '{ name: v1, port: 80, filters: [{ type: RequestRedirect, requestRedirect: { scheme: https } }] }',
    reason: 'False UnsupportedValue',
    says: /RequestRedirect/,
  },
];
for (const { name, backend, namespace = 'shop', reason, says } of backends) {
  test(`backend: ${name}`, () => {
    const mesh = meshWith(route(`${REVIEWS}, rules: [{ backendRefs: [${backend}] }]`, { namespace }));
    assert.equal(mesh.conditions(`HTTPRoute ${namespace}/r`)[1], `ResolvedRefs ${reason}`);
    const resolved = routesOf(mesh)[0]?.rules[0]?.backends[0];
    assert.equal(resolved?.service === null, reason.startsWith('False'));
    assert.equal(resolved?.weight, 1);
    if (says !== undefined) assert.match(mesh.problems(`HTTPRoute ${namespace}/r`).join(), says);
  });
}

test('an unsupported filter answers 500 and is named', () => {
  const filter = '{ type: ExtensionRef, extensionRef: { group: example.com, kind: A, name: a } }';
  const mesh = meshWith(
    route(
      `${REVIEWS}, rules: [{ filters: [${filter}], backendRefs: [{ name: v1, port: 80 }] }, { backendRefs: [{ name: v1, port: 80 }] }]`,
    ),
  );
  assert.deepEqual(
    routesOf(mesh)[0]?.rules.map((rule) => rule.backends.length),
    [0, 1],
  );
  assert.match(mesh.problems('HTTPRoute shop/r').join(), /WEFT_NOT_ENFORCED filter ExtensionRef is not supported/);
  assert.ok(mesh.conditions('HTTPRoute shop/r').includes('PartiallyInvalid True UnsupportedValue'));
});

const V1 = 'shop/v1.shop.svc.cluster.local';
const PREFIX = 'matches: [{ path: { value: /a } }]';
const REPLACE = 'path: { type: ReplacePrefixMatch, replacePrefixMatch: /b }';
const filters: { filter: string; more?: string; want: object }[] = [
  {
    filter: `type: RequestRedirect, requestRedirect: { scheme: https, hostname: a.example, port: 8443, statusCode: 308, ${REPLACE} }`,
    more: PREFIX,
    want: {
      redirect: { scheme: 'https', hostname: 'a.example', port: 8443, path: { kind: 'prefix', value: '/b' }, status: 308 },
    },
  },
  {
    filter: 'type: RequestRedirect, requestRedirect: {}',
    want: { redirect: { scheme: null, hostname: null, port: null, path: null, status: 302 } },
  },
  {
    filter: 'type: URLRewrite, urlRewrite: { hostname: a.example, path: { type: ReplaceFullPath, replaceFullPath: /b } }',
    want: { rewrite: { hostname: 'a.example', path: { kind: 'full', value: '/b' } } },
  },
  {
    filter: 'type: RequestMirror, requestMirror: { backendRef: { name: v1, port: 80 } }',
    want: { mirrors: [{ service: V1, port: 80, numerator: 100, denominator: 100 }] },
  },
  {
    filter: 'type: RequestMirror, requestMirror: { percent: 20, backendRef: { name: v1, port: 80 } }',
    want: { mirrors: [{ service: V1, port: 80, numerator: 20, denominator: 100 }] },
  },
  {
    filter:
      'type: RequestMirror, requestMirror: { fraction: { numerator: 1, denominator: 3 }, backendRef: { name: v1, port: 80 } }',
    want: { mirrors: [{ service: V1, port: 80, numerator: 1, denominator: 3 }] },
  },
  {
    filter: 'type: CORS, cors: { allowOrigins: ["*"], allowMethods: [PUT] }',
    want: {
      cors: {
        allowOrigins: ['*'],
        allowCredentials: false,
        allowMethods: ['PUT'],
        allowHeaders: [],
        exposeHeaders: [],
        maxAgeSeconds: 5,
      },
    },
  },
];
for (const { filter, more = '', want } of filters) {
  test(`a filter is carried over: ${filter.slice(6, 60)}`, () => {
    const mesh = meshWith(route(`${REVIEWS}, rules: [{ ${more}${more && ','} filters: [{ ${filter} }] }]`));
    const { redirect, rewrite, cors, mirrors } = routesOf(mesh)[0]?.rules[0] ?? {};
    const carried = Object.fromEntries(Object.entries({ redirect, rewrite, cors, mirrors }).filter(([, value]) => value));
    assert.deepEqual(carried, want);
    assert.deepEqual(mesh.problems('HTTPRoute shop/r'), []);
    assert.ok(!mesh.conditions('HTTPRoute shop/r').some((condition) => condition.startsWith('PartiallyInvalid')));
  });
}

const RETRIES = 'retry: { codes: [500, 503], attempts: 2, backoff: 100ms }';
const SESSION = 'sessionPersistence: { sessionName: sid, absoluteTimeout: 1h, cookieConfig: { lifetimeType: Permanent } }';
const resilience: { rule: string; want: object }[] = [
  { rule: RETRIES, want: { retry: { codes: [500, 503], attempts: 2, backoffMs: 100 } } },
  { rule: 'retry: {}', want: { retry: { codes: [], attempts: null, backoffMs: null } } },
  { rule: SESSION, want: { session: { carrier: 'cookie', name: 'sid', absoluteTimeoutMs: 3_600_000, permanent: true } } },
  {
    rule: 'sessionPersistence: { type: Header }',
    want: { session: { carrier: 'header', name: 'weft-session', absoluteTimeoutMs: null, permanent: false } },
  },
];
for (const { rule, want } of resilience) {
  test(`a rule carries over ${rule}`, () => {
    const mesh = meshWith(route(`${REVIEWS}, rules: [{ ${rule}, backendRefs: [{ name: v1, port: 80 }] }]`));
    const { retry, session } = routesOf(mesh)[0]?.rules[0] ?? {};
    assert.deepEqual({ ...(retry && { retry }), ...(session && { session }) }, want);
    assert.deepEqual(mesh.problems('HTTPRoute shop/r'), []);
  });
}

test('a filter of one backend is carried over with it', () => {
  const own = '{ type: RequestHeaderModifier, requestHeaderModifier: { remove: [a] } }';
  const mesh = meshWith(route(`${REVIEWS}, rules: [{ backendRefs: [{ name: v1, port: 80, filters: [${own}] }] }]`));
  assert.deepEqual(routesOf(mesh)[0]?.rules[0]?.backends[0]?.filters, {
    requestHeaders: { set: [], add: [], remove: ['a'] },
    responseHeaders: null,
    rewrite: null,
  });
});

test('a mirror that does not resolve is left out and told, and the rule goes on (config-api 1.8)', () => {
  const filter = '{ type: RequestMirror, requestMirror: { backendRef: { name: v9, port: 80 } } }';
  const mesh = meshWith(route(`${REVIEWS}, rules: [{ filters: [${filter}], backendRefs: [{ name: v1, port: 80 }] }]`));
  assert.equal(routesOf(mesh)[0]?.rules[0]?.mirrors, undefined);
  assert.equal(routesOf(mesh)[0]?.rules[0]?.backends[0]?.service, V1);
  assert.ok(mesh.conditions('HTTPRoute shop/r').includes('ResolvedRefs False BackendNotFound'));
  assert.match(mesh.problems('HTTPRoute shop/r').join(), /v9 not found.*no copies are sent/);
});

test('a route of another namespace is for its own clients only', () => {
  const mesh = meshWith(route(REVIEWS), route(REVIEWS, { namespace: 'client' }));
  assert.deepEqual(
    routesOf(mesh).map(({ namespace, clientNamespace }) => [namespace, clientNamespace]),
    [
      ['client', 'client'],
      ['shop', null],
    ],
  );
});

test('routes are sorted oldest first, then by namespace and name', () => {
  const at = (day: number) => `, creationTimestamp: "2026-01-0${day}T00:00:00Z"`;
  const routes = [
    route(REVIEWS, { name: 'c', created: at(1) }),
    route(REVIEWS, { name: 'b', created: at(2) }),
    route(REVIEWS, { name: 'a', created: at(2) }),
  ];
  const mesh = meshWith(...routes);
  assert.deepEqual(
    routesOf(mesh).map(({ name }) => name),
    ['c', 'a', 'b'],
  );
  mesh.apply(route(REVIEWS, { name: 'c', created: at(3) }));
  assert.deepEqual(
    routesOf(mesh).map(({ name }) => name),
    ['a', 'b', 'c'],
  );
});

test('a route of a service without a waypoint is told that no proxy runs it', () => {
  const mesh = new YamlMesh(parser, [service('reviews', { labels: '' }), route(REVIEWS)].join('---\n'));
  assert.ok(mesh.conditions('HTTPRoute shop/r').includes('ResolvedWaypoints False MissingUseWaypointLabel'));
  assert.match(mesh.problems('HTTPRoute shop/r').join(), /no proxy runs this route/);
  mesh.apply([GATEWAY, service('reviews')].join('---\n'));
  assert.ok(mesh.conditions('HTTPRoute shop/r').includes('ResolvedWaypoints True ResolvedWaypoints'));
});

test('a route that names the waypoint itself is told where routes attach', () => {
  const mesh = meshWith(route('parentRefs: [{ name: way }]'));
  assert.match(mesh.problems('HTTPRoute shop/r').join(), /routes attach to the Services/);
});

test('a Gateway of another controller as parent is left alone', () => {
  const mesh = meshWith(route('parentRefs: [{ name: ingress }]'));
  assert.deepEqual([mesh.conditions('HTTPRoute shop/r'), mesh.problems('HTTPRoute shop/r')], [[], []]);
});

test('a service that appears resolves the backends that name it, and only then', () => {
  const mesh = meshWith(route(`${REVIEWS}, rules: [{ backendRefs: [{ name: v3, port: 80 }] }]`));
  assert.equal(routesOf(mesh)[0]?.rules[0]?.backends[0]?.service, null);
  const { waypoints } = mesh.apply(service('v3', { labels: '' }));
  assert.deepEqual([...waypoints.keys()], ['shop/way']);
  assert.equal(routesOf(mesh)[0]?.rules[0]?.backends[0]?.service, 'shop/v3.shop.svc.cluster.local');
});

test('a pod that comes or goes leaves the configuration of waypoints alone', () => {
  const mesh = meshWith(route(REVIEWS));
  const { waypoints, conditions } = mesh.register('alpha', { name: 'w', labels: { app: 'a' } });
  assert.deepEqual([waypoints.size, conditions.size], [0, 0]);
});

function policy(spec: string): string {
  return `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: p, namespace: shop }\nspec: { ${spec} }\n`;
}

test('the configuration is plain JSON', () => {
  const config = configOf(meshWith(route(REVIEWS), policy('targetRefs: [{ group: "", kind: Service, name: reviews }]')));
  assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
});
