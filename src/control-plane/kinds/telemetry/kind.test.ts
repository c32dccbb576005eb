import assert from 'node:assert/strict';
import test from 'node:test';
import { findingsOf, parser, readSpec } from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { TelemetryResource } from './schema.ts';

test('what a selector picks is told to be out of force', () =>
  assert.deepEqual(findingsOf('Telemetry', '{ selector: { matchLabels: { app: a } }, accessLogging: [{ disabled: true }] }'), [
    'warning WEFT_FIELD_IGNORED spec.selector',
  ]));

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: infra }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE, allowedRoutes: { namespaces: { from: All } } }] }
---
{ apiVersion: v1, kind: Service, metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: way, istio.io/use-waypoint-namespace: infra } }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: other, namespace: more, labels: { istio.io/use-waypoint: way, istio.io/use-waypoint-namespace: infra } }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: plain, namespace: shop }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
`;

type Written = { name: string; namespace: string; percent: number; about?: string; created?: string };

/** Each asks for a share of traces of its own, which says who was heard. */
function telemetry({ name, namespace, percent, about = '', created }: Written): string {
  const created_ = created === undefined ? '' : `, creationTimestamp: "${created}"`;
  return `{ apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: { name: ${name}, namespace: ${namespace}${created_} }, spec: { ${about} tracing: [{ randomSamplingPercentage: ${percent} }] } }\n---\n`;
}

/** `service percent`, and that of workloads. */
function sharesIn(mesh: YamlMesh): string[] {
  const config = mesh.index.snapshot().waypoints.get('infra/way');
  const services = config?.services.map(({ key, telemetry: rules }) => `${key.split('.')[0]} ${rules?.tracing?.percent ?? '-'}`);
  return [...(services ?? []), `workloads ${config?.telemetry?.tracing?.percent ?? '-'}`].toSorted();
}

const CART = 'targetRefs: [{ group: "", kind: Service, name: cart }],';
const WAY = 'targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: way }],';
const CLASS = 'targetRefs: [{ group: gateway.networking.k8s.io, kind: GatewayClass, name: weft-waypoint }],';
const LEVELS: { name: string; written: Written; cart: string; other: string; workloads: string }[] = [
  { name: 'the mesh', written: { name: 'a', namespace: 'istio-system', percent: 1 }, cart: '1', other: '1', workloads: '1' },
  {
    name: 'the waypoint’s namespace',
    written: { name: 'b', namespace: 'infra', percent: 2 },
    cart: '2',
    other: '2',
    workloads: '2',
  },
  {
    name: 'the service’s namespace',
    written: { name: 'c', namespace: 'shop', percent: 3 },
    cart: '3',
    other: '2',
    workloads: '2',
  },
  {
    name: 'the class',
    written: { name: 'd', namespace: 'istio-system', percent: 4, about: CLASS },
    ...{ cart: '4', other: '4', workloads: '4' },
  },
  {
    name: 'the waypoint',
    written: { name: 'e', namespace: 'infra', percent: 5, about: WAY },
    ...{ cart: '5', other: '5', workloads: '5' },
  },
  {
    name: 'the service',
    written: { name: 'f', namespace: 'shop', percent: 6, about: CART },
    ...{ cart: '6', other: '5', workloads: '5' },
  },
];

test('config-api 5.1: the mesh, the waypoint’s namespace, the service’s, its class, the waypoint, the service: the later goes before', () => {
  const mesh = new YamlMesh(parser, MESH);
  assert.deepEqual(sharesIn(mesh), ['more/other -', 'shop/cart -', 'workloads -']);
  const before: string[][] = [];
  for (const { name, written, cart, other, workloads } of LEVELS) {
    before.push(sharesIn(mesh));
    mesh.apply(telemetry(written));
    assert.deepEqual(sharesIn(mesh), [`more/other ${other}`, `shop/cart ${cart}`, `workloads ${workloads}`], name);
  }
  for (const { written } of LEVELS.toReversed()) {
    mesh.remove(`Telemetry ${written.namespace}/${written.name}`);
    assert.deepEqual(sharesIn(mesh), before.pop());
  }
});

test('config-api 5.1: of several of a namespace, or of one service, the oldest is heard, and the others are told so', () => {
  const later = { created: '2026-02-01T00:00:00Z' };
  const mesh = new YamlMesh(
    parser,
    MESH +
      telemetry({ name: 'young', namespace: 'shop', percent: 1, ...later }) +
      telemetry({ name: 'zold', namespace: 'shop', percent: 2, created: '2026-01-01T00:00:00Z' }) +
      telemetry({ name: 'p', namespace: 'shop', percent: 3, about: CART, created: '2026-01-01T00:00:00Z' }),
  );
  assert.equal(mesh.problems('Telemetry shop/zold').length, 0);
  const [problem = ''] = mesh.problems('Telemetry shop/young');
  assert.match(problem, /WEFT_NOT_ENFORCED Telemetry shop\/zold is older, and already says what is told of Namespace shop/);
  mesh.apply(telemetry({ name: 'q', namespace: 'shop', percent: 4, about: CART, ...later }));
  assert.deepEqual(sharesIn(mesh)[1], 'shop/cart 3');
  assert.deepEqual(mesh.conditions('Telemetry shop/p'), ['WaypointAccepted True Accepted']);
  assert.deepEqual(mesh.conditions('Telemetry shop/q'), ['WaypointAccepted False Conflicted']);
  mesh.remove('Telemetry shop/p', 'Telemetry shop/zold');
  assert.deepEqual(sharesIn(mesh)[1], 'shop/cart 4');
  assert.deepEqual(mesh.problems('Telemetry shop/young'), []);
});

const MISSES: { about: string; namespace?: string; reason: string }[] = [
  { about: 'targetRefs: [{ kind: Service, name: crt }],', reason: 'TargetNotFound' },
  { about: 'targetRefs: [{ kind: Service, name: plain }],', reason: 'AncestorNotBound' },
  { about: WAY, reason: 'TargetNotFound' },
  { about: CLASS, reason: 'Invalid' },
];
for (const { about, reason } of MISSES)
  test(`nobody tells by it: ${about} ${reason}`, () => {
    const mesh = new YamlMesh(parser, MESH + telemetry({ name: 'p', namespace: 'shop', percent: 1, about }));
    assert.deepEqual(mesh.conditions('Telemetry shop/p'), [`WaypointAccepted False ${reason}`]);
    assert.equal(mesh.problems('Telemetry shop/p').length, 1);
    assert.deepEqual(sharesIn(mesh), ['more/other -', 'shop/cart -', 'workloads -']);
  });

test('config-api 5.1: a ServiceEntry is told of by the waypoint of its hosts', () => {
  const entry = `{ apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: { name: api, namespace: shop, labels: { istio.io/use-waypoint: way, istio.io/use-waypoint-namespace: infra } }, spec: { hosts: [api.example.com], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS } }\n---\n`;
  const about = 'targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: api }],';
  const mesh = new YamlMesh(parser, MESH + entry + telemetry({ name: 'p', namespace: 'shop', percent: 7, about }));
  assert.ok(sharesIn(mesh).includes('shop/api 7'));
  assert.deepEqual(mesh.conditions('Telemetry shop/p'), ['WaypointAccepted True Accepted']);
});

test('one about a namespace that no waypoint serves is told so, until one does', () => {
  const mesh = new YamlMesh(parser, MESH + telemetry({ name: 'p', namespace: 'alone', percent: 1 }));
  assert.match(mesh.problems('Telemetry alone/p').join(), /^WEFT_MATCHES_NOTHING .*namespace alone has no waypoint/);
  mesh.apply(
    '{ apiVersion: v1, kind: Service, metadata: { name: s, namespace: alone, labels: { istio.io/use-waypoint: way, istio.io/use-waypoint-namespace: infra } }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }',
  );
  assert.deepEqual(mesh.problems('Telemetry alone/p'), []);
  assert.ok(sharesIn(mesh).includes('alone/s 1'));
  mesh.apply(
    telemetry({ name: 'root', namespace: 'istio-system', percent: 1 }) + telemetry({ name: 'i', namespace: 'infra', percent: 1 }),
  );
  assert.deepEqual([...mesh.problems('Telemetry istio-system/root'), ...mesh.problems('Telemetry infra/i')], []);
});

test('what is said of traces is told to have no effect where no collector is named', () => {
  const log = `{ apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: { name: log, namespace: infra }, spec: { accessLogging: [{ disabled: true }] } }\n---\n`;
  const yaml = MESH + log + telemetry({ name: 'p', namespace: 'shop', percent: 1, about: CART });
  const problemsIn = (mesh: YamlMesh) => ['Telemetry shop/p', 'Telemetry infra/log'].map((name) => mesh.problems(name));
  const [traces = [], lines] = problemsIn(new YamlMesh(parser, yaml, { traced: false }));
  assert.match(traces.join(), /^WEFT_FIELD_IGNORED no collector is named[^,]*, and headers of traces pass as they came$/);
  assert.deepEqual([lines, problemsIn(new YamlMesh(parser, yaml))], [[], [[], []]]);
});

test('what is said for another provider alone says nothing of the log', () => {
  const yaml = (providers: string) =>
    `{ apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: { name: p, namespace: infra }, spec: { accessLogging: [{ ${providers} disabled: true }] } }`;
  const mesh = new YamlMesh(parser, MESH + yaml('providers: [{ name: otel }],'));
  const logOf = () => mesh.index.snapshot().waypoints.get('infra/way')?.telemetry?.accessLog;
  assert.equal(logOf(), undefined);
  mesh.apply(yaml(''));
  assert.equal(logOf(), false);
});

test('config-api 5.1: all of a Telemetry is read', () => {
  const { spec } = readSpec<TelemetryResource>(
    'Telemetry',
    `{
      accessLogging: [{ match: { mode: SERVER }, filter: { expression: "response.code > 499" } }, { match: { mode: CLIENT }, disabled: true }],
      tracing: [{ randomSamplingPercentage: 0, disableSpanReporting: false, enableIstioTags: false, useRequestIdForTraceSampling: false, disableContextPropagation: true,
        customTags: { a: { literal: { value: x } }, b: { header: { name: X-B, defaultValue: d } }, c: { environment: { name: WEFT_TAG_C } }, d: { formatter: { value: x } } } }],
      metrics: [
        { providers: [{ name: other }], overrides: [{ disabled: true }] },
        { overrides: [
          { match: { metric: REQUEST_COUNT, mode: SERVER }, tagOverrides: { a: { operation: REMOVE }, b: { value: request.host }, source_zone: { operation: REMOVE }, reporter: { value: request.host } } },
          { match: { metric: TCP_SENT_BYTES }, disabled: true }, { match: { metric: REQUEST_SIZE }, disabled: true }, { match: { customMetric: mine }, disabled: true }] }]
    }`,
  );
  assert.deepEqual(spec, {
    accessLog: [
      { sides: ['server'], disabled: false, filter: 'response.code > 499' },
      { sides: ['client'], disabled: true, filter: null },
    ],
    tracing: {
      sides: ['client', 'server'],
      percent: 0,
      reported: true,
      tags: [
        { tag: 'a', from: 'literal', name: 'x', otherwise: null },
        { tag: 'b', from: 'header', name: 'x-b', otherwise: 'd' },
        { tag: 'c', from: 'environment', name: 'WEFT_TAG_C', otherwise: null },
      ],
      istioTags: false,
      byRequestId: false,
      propagated: false,
    },
    metrics: [
      {
        sides: ['server'],
        metrics: ['istio_requests_total'],
        disabled: null,
        labels: [
          { tag: 'a', value: null },
          { tag: 'b', value: 'request.host' },
        ],
      },
      { sides: ['client', 'server'], metrics: ['istio_tcp_sent_bytes_total'], disabled: true, labels: [] },
      { sides: ['client', 'server'], metrics: ['istio_request_bytes'], disabled: true, labels: [] },
    ],
  });
});
