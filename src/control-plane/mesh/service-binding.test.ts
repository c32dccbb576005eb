import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import { YamlMesh } from '#control-plane/kinds/yaml-mesh.testing.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { gatewayName } from '#model/mesh/service.ts';
import { readCrds } from '#platform/files/crds.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

type GatewayOptions = { className?: string; space?: string; labels?: string; listener?: string };

function gateway(name: string, { className = 'weft-waypoint', space = 'shop', labels = '', listener = '' }: GatewayOptions = {}) {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: ${space}, labels: { ${labels} } }
spec: { gatewayClassName: ${className}, listeners: [{ name: mesh, port: 15008, protocol: HBONE${listener} }] }
`;
}

function object(kind: 'Service' | 'Namespace', name: string, labels: string, annotations: string): string {
  const metadata = `name: ${name}, ${kind === 'Service' ? 'namespace: shop, ' : ''}labels: { ${labels} }, annotations: { ${annotations} }`;
  const spec = kind === 'Service' ? 'spec: { selector: { app: a }, ports: [{ port: 80 }] }\n' : '';
  return `apiVersion: v1\nkind: ${kind}\nmetadata: { ${metadata} }\n${spec}`;
}

const USE = 'istio.io/use-waypoint: w';
const CANARY = 'istio.io/use-waypoint-canary: next';
const weight = (text: string): string => `istio.io/use-waypoint-canary-weight: "${text}"`;
const service = (labels = `${USE}, ${CANARY}`, annotations = weight('20')) => object('Service', 's', labels, annotations);

function meshOf(...documents: string[]): YamlMesh {
  const mesh = new YamlMesh(parser, documents.join('---\n'));
  const instance = (name: string) => ({
    ...{ name: `${name}-1`, serviceAccount: name, nativeTunnel: true },
    labels: { 'gateway.networking.k8s.io/gateway-name': name },
  });
  mesh.register('alpha', instance('w'));
  mesh.register('beta', instance('next'));
  return mesh;
}

/** The canary that clients are told, in words; empty: there is none. */
function canaryOf(mesh: YamlMesh): string {
  const { canary } = mesh.service('shop/s') ?? assert.fail('no service');
  return canary === undefined ? '' : `${canary.weight} % ${gatewayName(canary.waypoint).split('.')[0]}`;
}

function messageOf(mesh: YamlMesh): string {
  const conditions = mesh.index.snapshot().conditions.get('Service shop/s' as ResourceName) ?? [];
  return conditions.map(({ status, message }) => `${status}: ${message}`).join();
}

const GATEWAYS = [gateway('w'), gateway('next')];
const cases: { name: string; documents: string[]; canary: string; told?: RegExp; problem?: RegExp }[] = [
  {
    name: 'gets the share that is written',
    documents: [...GATEWAYS, service()],
    canary: '20 % shop/next',
    told: /^True: bound to Gateway shop\/w; 20 % of new connections go to Gateway shop\/next$/,
  },
  {
    name: 'without a weight gets none, and serves whom it has',
    documents: [...GATEWAYS, service(`${USE}, ${CANARY}`, '')],
    canary: '0 % shop/next',
    told: /0 % of new connections/,
  },
  { name: 'may get all', documents: [...GATEWAYS, service(undefined, weight('100'))], canary: '100 % shop/next' },
  {
    name: 'is that of the namespace where the waypoint is',
    documents: [...GATEWAYS, object('Namespace', 'shop', `${USE}, ${CANARY}`, weight('5')), service('', '')],
    canary: '5 % shop/next',
  },
  {
    name: 'of the namespace is not that of a service with a waypoint of its own',
    documents: [...GATEWAYS, object('Namespace', 'shop', `${USE}, ${CANARY}`, weight('5')), service(USE, '')],
    canary: '',
  },
  {
    name: 'may live in another namespace that lets it',
    documents: [
      gateway('w'),
      gateway('next', { space: 'far', listener: ', allowedRoutes: { namespaces: { from: All } }' }),
      service(`${USE}, ${CANARY}, istio.io/use-waypoint-canary-namespace: far`),
    ],
    canary: '20 % far/next',
    told: /as soon as it is ready/,
  },
  ...['101', '-1', '1.5', 'half', '', '007'].map((text) => ({
    name: `of weight "${text}" gets nothing`,
    documents: [...GATEWAYS, service(undefined, weight(text))],
    canary: '',
    told: /^True: bound to Gateway shop\/w; no connection goes to the canary waypoint shop\/next/,
    problem: new RegExp(`WEFT_NOT_ENFORCED .*"${text}" is no weight`),
  })),
  {
    name: 'that is missing gets nothing, and a name that is nearly right is told',
    documents: [gateway('w'), gateway('nexd'), service()],
    canary: '',
    problem: /shop\/next: it does not exist \(did you mean nexd\?\)/,
  },
  {
    name: 'that is the waypoint itself',
    documents: [...GATEWAYS, service(`${USE}, istio.io/use-waypoint-canary: w`)],
    canary: '',
    problem: /it is the waypoint itself/,
  },
  {
    name: 'that another controller runs would judge by nothing of ours',
    documents: [gateway('w'), gateway('next', { className: 'other' }), service()],
    canary: '',
    problem: /Weft runs only one of the two/,
  },
  {
    name: 'for workloads takes no services',
    documents: [gateway('w'), gateway('next', { labels: 'istio.io/waypoint-for: workload' }), service()],
    canary: '',
    problem: /a waypoint for workload traffic/,
  },
  {
    name: 'that does not let the namespace in',
    documents: [
      gateway('w'),
      gateway('next', { space: 'far' }),
      service(`${USE}, ${CANARY}, istio.io/use-waypoint-canary-namespace: far`),
    ],
    canary: '',
    problem: /it does not accept namespace shop/,
  },
  {
    name: 'beside no waypoint leads nowhere',
    documents: [...GATEWAYS, service(CANARY)],
    canary: '',
    problem: /counts only beside istio.io\/use-waypoint/,
  },
  {
    name: 'beside a waypoint of the namespace is not read at the service',
    documents: [...GATEWAYS, object('Namespace', 'shop', USE, ''), service(CANARY)],
    canary: '',
    problem: /counts only beside istio.io\/use-waypoint/,
  },
];
for (const { name, documents, canary, told = /./, problem } of cases)
  test(`C35: a canary ${name}`, () => {
    const mesh = meshOf(...documents);
    assert.equal(canaryOf(mesh), canary);
    if (mesh.service('shop/s')?.waypoint !== null) assert.match(messageOf(mesh), told);
    assert.match(mesh.problems('Service shop/s').join(), problem ?? /^$/);
  });

test('C35: a canary of a waypoint that is missing takes nothing of what is refused', () => {
  const mesh = meshOf(gateway('next'), service());
  assert.equal(canaryOf(mesh), '');
  assert.match(messageOf(mesh), /^False: Gateway shop\/w does not exist.*traffic is refused$/);
});

test('C35: what is written for the waypoint is enforced by its canary, too, and both get in where others do not', () => {
  const policy = (target: string, path: string) =>
    `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: ${path}, namespace: shop }\nspec: { action: DENY, targetRefs: [${target}], rules: [{ to: [{ operation: { paths: [/${path}] } }] }] }\n`;
  const ofGateway = (name: string) => `{ group: gateway.networking.k8s.io, kind: Gateway, name: ${name} }`;
  const documents = [
    ...[...GATEWAYS, service()],
    ...[
      policy(ofGateway('w'), 'stable'),
      policy(ofGateway('next'), 'canary'),
      policy('{ group: "", kind: Service, name: s }', 'both'),
    ],
  ];
  const mesh = meshOf(...documents);
  mesh.register('gamma', { name: 'app', labels: { app: 'a' } });
  const deniedAt = (gatewayKey: string): string[] => {
    const config = mesh.index.snapshot().waypoints.get(gatewayKey) ?? assert.fail(gatewayKey);
    const policies = [...config.policies, ...config.services.flatMap((one) => one.policies)];
    return policies.map(({ name }) => name).toSorted();
  };
  assert.deepEqual(deniedAt('shop/w'), ['both', 'stable']);
  assert.deepEqual(deniedAt('shop/next'), ['both', 'canary', 'stable']);
  const closed = [...mesh.index.snapshot().policies.values()].find(({ name }) => name.startsWith('weft-waypoint-only'));
  const [match] = closed?.rules[0]?.clauses[0]?.matches ?? [];
  assert.deepEqual(
    match?.notPrincipals.map((one) => ('value' in one ? one.value : '')),
    ['cluster.local/ns/shop/sa/next', 'cluster.local/ns/shop/sa/w'],
  );
  // One that is no canary any more knows nothing of the service, and does not get in.
  mesh.apply(service(USE, ''));
  assert.deepEqual(mesh.index.snapshot().waypoints.get('shop/next')?.services, []);
  assert.deepEqual(mesh.index.snapshot().waypoints.get('shop/w')?.services.length, 1);
});
