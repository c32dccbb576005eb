import assert from 'node:assert/strict';
import test from 'node:test';
import {
  findingsOf,
  type Mistake,
  parser,
  readSpec,
  testAccepted,
  testMistakes,
} from '#control-plane/kinds/documents.testing.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { BackendPolicyResource } from './schema.ts';

const KIND = 'XBackendTrafficPolicy';
const TARGETS = 'targetRefs: [{ group: "", kind: Service, name: cart }]';

const mistakes: Mistake[] = [
  {
    name: 'an interval that forgets requests before clients come back with them',
    spec: `{ ${TARGETS}, retryConstraint: { budget: { interval: 500ms } } }`,
    at: 'spec.retryConstraint.budget.interval',
    says: /500ms is not from 1s to 1h/,
    remedy: /choose/,
  },
  {
    name: 'a rate in no time',
    spec: `{ ${TARGETS}, retryConstraint: { minRetryRate: { count: 1, interval: 0s } } }`,
    at: 'spec.retryConstraint.minRetryRate.interval',
    says: /0s is not up to 1h/,
    remedy: /choose/,
  },
  {
    name: 'a cookie for ever',
    spec: `{ ${TARGETS}, sessionPersistence: { cookieConfig: { lifetimeType: Permanent } } }`,
    at: 'spec.sessionPersistence',
    says: /needs absoluteTimeout/,
    remedy: /add absoluteTimeout/,
  },
  {
    name: 'a policy without a word',
    severity: 'warning',
    spec: `{ ${TARGETS} }`,
    at: 'spec',
    says: /says nothing/,
    remedy: /add retryConstraint/,
  },
  {
    name: 'a backend of others',
    severity: 'warning',
    spec: '{ targetRefs: [{ group: example.com, kind: Backend, name: a }], retryConstraint: {} }',
    at: 'spec.targetRefs[0]',
    says: /no backends of kind Backend in group "example.com"/,
    remedy: /name a Service/,
  },
];
testMistakes(KIND, mistakes);
testAccepted(KIND, { both: `{ ${TARGETS}, retryConstraint: {}, sessionPersistence: {} }` });

test('config-api 1.17: what is not written has the defaults of the API', () => {
  const { settings } = readSpec<BackendPolicyResource>(KIND, `{ ${TARGETS}, retryConstraint: {}, sessionPersistence: {} }`);
  assert.deepEqual(settings, {
    retryBudget: { percent: 20, of: { kind: 'interval', intervalMs: 10_000, minPerSecond: 10 } },
    session: { carrier: 'cookie', name: 'weft-session', absoluteTimeoutMs: null, permanent: false },
  });
  const said = readSpec<BackendPolicyResource>(
    KIND,
    `{ ${TARGETS}, retryConstraint: { budget: { percent: 0, interval: 1m }, minRetryRate: { count: 3, interval: 500ms } } }`,
  );
  assert.deepEqual(said.settings, {
    retryBudget: { percent: 0, of: { kind: 'interval', intervalMs: 60_000, minPerSecond: 6 } },
  });
  assert.deepEqual(findingsOf(KIND, `{ ${TARGETS}, retryConstraint: { budget: { percent: 101 } } }`), [
    'error WEFT_FIELD_INVALID spec.retryConstraint.budget.percent',
  ]);
});

const MESH = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: way, namespace: shop }
spec: { gatewayClassName: weft-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
---
{ apiVersion: v1, kind: Service, metadata: { name: cart, namespace: shop, labels: { istio.io/use-waypoint: way } }, spec: { selector: { app: a }, ports: [{ name: http, port: 80 }] } }
---
{ apiVersion: v1, kind: Service, metadata: { name: plain, namespace: shop }, spec: { selector: { app: a }, ports: [{ port: 80 }] } }
---
`;

function policy(name: string, targets: string, blocks: string, created = '2026-01-01'): string {
  const metadata = `{ name: ${name}, namespace: shop, creationTimestamp: "${created}T00:00:00Z" }`;
  return `{ apiVersion: gateway.networking.x-k8s.io/v1alpha1, kind: ${KIND}, metadata: ${metadata}, spec: { targetRefs: [${targets}], ${blocks} } }\n---\n`;
}

const CART = '{ group: "", kind: Service, name: cart }';
const meshWith = (...documents: string[]): YamlMesh => new YamlMesh(parser, MESH + documents.join(''));
const settingsOf = (mesh: YamlMesh) =>
  mesh.index
    .snapshot()
    .waypoints.get('shop/way')
    ?.services[0]?.destinations?.map(({ port, retryBudget, session }) => [port, retryBudget?.percent, session?.name]);

test('config-api 1.17: a waypoint treats what it sends to a backend by it', () => {
  const mesh = meshWith(policy('p', CART, 'retryConstraint: {}, sessionPersistence: { sessionName: sid }'));
  assert.deepEqual(settingsOf(mesh), [[null, 20, 'sid']]);
  assert.deepEqual(mesh.conditions(`${KIND} shop/p`), ['Accepted True Accepted']);
  assert.deepEqual(mesh.problems(`${KIND} shop/p`), []);
  mesh.remove(`${KIND} shop/p`);
  assert.equal(settingsOf(mesh), undefined);
});

test('config-api 6.3: a TrafficPolicy goes before it, and of two the older one; the other is told whom', () => {
  const traffic = `{ apiVersion: weft.dev/v1alpha1, kind: TrafficPolicy, metadata: { name: p, namespace: shop, creationTimestamp: "2026-03-01T00:00:00Z" }, spec: { targetRefs: [{ kind: Service, name: cart }], retryBudget: { percent: 30 } } }\n---\n`;
  const mesh = meshWith(
    policy('p', CART, 'retryConstraint: {}, sessionPersistence: { sessionName: old }'),
    policy('q', CART, 'sessionPersistence: { sessionName: young }', '2026-02-01'),
    traffic,
  );
  assert.deepEqual(settingsOf(mesh), [[null, 30, 'old']]);
  assert.deepEqual(mesh.conditions(`${KIND} shop/p`), ['Accepted False Conflicted']);
  assert.match(
    mesh.problems(`${KIND} shop/p`).join(),
    /TrafficPolicy shop\/p already says retryConstraint of Service shop\/cart/,
  );
  assert.match(mesh.problems(`${KIND} shop/q`).join(), /XBackendTrafficPolicy shop\/p already says sessionPersistence/);
  assert.deepEqual(mesh.conditions('TrafficPolicy shop/p'), ['Accepted True Accepted', 'Programmed True Programmed']);
  mesh.remove('TrafficPolicy shop/p');
  assert.deepEqual(settingsOf(mesh), [[null, 20, 'old']]);
  assert.deepEqual(mesh.conditions(`${KIND} shop/p`), ['Accepted True Accepted']);
});

test('config-api 1.17: each target has a condition of its own; a backend that others lead to needs no waypoint', () => {
  const targets = ['crt', 'plain'].map((name) => `{ group: "", kind: Service, name: ${name} }`).join(', ');
  const mesh = meshWith(policy('p', targets, 'retryConstraint: {}'));
  assert.deepEqual(mesh.conditions(`${KIND} shop/p`), ['Accepted False TargetNotFound', 'Accepted True Accepted']);
  assert.match(mesh.problems(`${KIND} shop/p`).join(), /Service shop\/crt not found.*cart.*Service shop\/plain has no waypoint/);
});
