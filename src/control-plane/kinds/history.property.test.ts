import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { IndexChange, IndexDelta } from '#control-plane/index/index-delta.ts';
import { type IndexSnapshot, MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';
import type { RegisteredWorkload } from '#control-plane/index/registrations.ts';
import { nameOfResource, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { readCrds } from '#platform/files/crds.ts';
import { CRD_FILES, KINDS, MESH } from './list.ts';
import { aWorkload } from './yaml-mesh.testing.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** A small world, so that things meet: few names, few labels, few addresses. */
const namespace = fc.constantFrom('shop', 'far', 'istio-system');
const name = fc.constantFrom('a', 'b', 'way');
const labels = fc.constantFrom(
  {},
  { app: 'x' },
  { app: 'y' },
  { app: 'x', v: '1' },
  { 'gateway.networking.k8s.io/gateway-name': 'way' },
);
/** What references name; one is near to a name that exists. */
const referred = fc.constantFrom('a', 'b', 'way', 'wya');
const selector = fc.constantFrom({ app: 'x' }, { app: 'y' }, { app: 'x', v: '1' });
const age = fc.constantFrom({}, { creationTimestamp: '2026-01-01T00:00:00Z' });
const waypoint = fc.constantFrom(
  {},
  {},
  { 'istio.io/use-waypoint': 'way' },
  { 'istio.io/use-waypoint': 'wya' },
  { 'istio.io/use-waypoint': 'none' },
  { 'istio.io/use-waypoint': 'way', 'istio.io/use-waypoint-namespace': 'shop' },
);

function documents(
  apiVersion: string,
  kind: string,
  metadata: fc.Arbitrary<object>,
  body: fc.Arbitrary<object>,
): fc.Arbitrary<object> {
  const head = fc.record({ namespace, name, created: age, more: metadata, body }, { noNullPrototype: true });
  return head.map(({ created, more, body: rest, ...names }) => ({
    apiVersion,
    kind,
    metadata: { ...names, ...created, ...more },
    ...rest,
  }));
}

const labelled = waypoint.map((value) => ({ labels: value }));
const services = documents(
  'v1',
  'Service',
  labelled,
  fc.record({
    spec: fc.record(
      {
        selector: fc.oneof(selector, selector, fc.constant({ 'gateway.networking.k8s.io/gateway-name': 'way' })),
        ports: fc.constantFrom(
          [{ port: 80 }],
          [{ port: 80, targetPort: 'http' }],
          [
            { name: 'a', port: 80 },
            { name: 'b', port: 81 },
          ],
        ),
        clusterIP: fc.constantFrom('', '', 'None', '10.96.0.1', '240.240.0.9'),
        publishNotReadyAddresses: fc.boolean(),
      },
      { noNullPrototype: true },
    ),
  }),
);
const aliases = documents(
  'v1',
  'Service',
  labelled,
  fc.constant({ spec: { type: 'ExternalName', externalName: 'example.com' } }),
);
const pods = documents(
  'v1',
  'Pod',
  fc.tuple(labels, waypoint).map(([own, bound]) => ({ labels: { ...own, ...bound } })),
  fc.constantFrom(
    { spec: {}, status: { podIP: '10.0.0.1' } },
    { spec: { containers: [{ ports: [{ name: 'http', containerPort: 8080 }] }] }, status: { podIP: '10.0.0.2' } },
    { spec: {}, status: { podIP: '240.240.0.9', phase: 'Pending' } },
    { spec: {}, status: { podIP: '10.0.0.1', phase: 'Failed' } },
  ),
);
const spaces = fc.record({
  name: namespace,
  labels: waypoint,
  annotations: fc.constantFrom({}, { 'networking.istio.io/traffic-distribution': 'PreferClose' }),
});
const gateways = documents(
  'gateway.networking.k8s.io/v1',
  'Gateway',
  fc.constantFrom({}, { labels: { 'istio.io/waypoint-for': 'all' } }, { labels: { 'istio.io/waypoint-for': 'workload' } }),
  fc
    .tuple(
      fc.constantFrom('weft-waypoint', 'istio-waypoint', 'other'),
      fc.constantFrom('Same', 'All'),
      fc.constantFrom('HBONE', 'HTTP'),
    )
    .map(([gatewayClassName, from, protocol]) => ({
      spec: { gatewayClassName, listeners: [{ name: 'm', port: 15008, protocol, allowedRoutes: { namespaces: { from } } }] },
    })),
);
const scopes = fc.oneof(
  fc.constant({}),
  selector.map((matchLabels) => ({ selector: { matchLabels } })),
  referred.map((target) => ({ targetRefs: [{ group: '', kind: 'Service', name: target }] })),
  fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'way' }] }),
  fc.constant({ targetRefs: [{ group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'weft-waypoint' }] }),
);
const actions = fc.constantFrom(
  { rules: [{}] },
  { action: 'DENY', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
  { action: 'AUDIT' },
);
const authorizations = documents(
  'security.istio.io/v1',
  'AuthorizationPolicy',
  fc.constant({}),
  fc.tuple(scopes, actions).map(([scope, action]) => ({ spec: { ...scope, ...action } })),
);
const mode = fc.constantFrom('UNSET', 'PERMISSIVE', 'STRICT', 'DISABLE');
const peers = documents(
  'security.istio.io/v1',
  'PeerAuthentication',
  fc.constant({}),
  fc.oneof(
    mode.map((own) => ({ spec: { mtls: { mode: own } } })),
    fc.tuple(selector, mode, mode).map(([matchLabels, own, port]) => ({
      spec: { selector: { matchLabels }, mtls: { mode: own }, portLevelMtls: { 80: { mode: port } } },
    })),
  ),
);
const routes = documents(
  'gateway.networking.k8s.io/v1',
  'HTTPRoute',
  fc.constant({}),
  fc
    .tuple(namespace, referred, referred, fc.constantFrom({}, { port: 81 }, { sectionName: 'a' }))
    .map(([parentNamespace, parent, backend, port]) => ({
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: parent, namespace: parentNamespace, ...port }],
        rules: [{ backendRefs: [{ name: backend, port: 80 }] }],
      },
    })),
);

type Step =
  | { kind: 'put'; resource: Resource }
  | { kind: 'drop'; name: ResourceName }
  | { kind: 'node'; node: string; workloads: RegisteredWorkload[] };

function read(object: unknown): Resource {
  const reading = parser.read(JSON.parse(JSON.stringify(object)));
  if (reading.kind !== 'resource') throw new Error(JSON.stringify(reading));
  return reading.resource;
}

const resource = fc
  .oneof(
    services,
    services,
    aliases,
    pods,
    pods,
    spaces.map((metadata) => ({ apiVersion: 'v1', kind: 'Namespace', metadata })),
    gateways,
    authorizations,
    peers,
    routes,
  )
  .map(read);
const registered = fc.record(
  { namespace, name, labels, enrolled: fc.boolean(), addresses: fc.constantFrom(['10.1.0.1'], ['240.240.0.9'], []) },
  { noNullPrototype: true },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: resource.map((one): Step => ({ kind: 'put', resource: one })) },
  { weight: 3, arbitrary: resource.map((one): Step => ({ kind: 'drop', name: nameOfResource(one) })) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom('alpha', 'beta'), fc.array(registered, { maxLength: 3 }))
      .map(([node, list]): Step => ({ kind: 'node', node, workloads: list.map((one) => aWorkload({ ...one, node })) })),
  },
);
/** A waypoint with a service bound to it, so that most of what follows concerns them. */
const BOUND: Step[] = [
  {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'way', namespace: 'shop' },
    spec: { gatewayClassName: 'weft-waypoint', listeners: [{ name: 'm', port: 15008, protocol: 'HBONE' }] },
  },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a', namespace: 'shop', labels: { 'istio.io/use-waypoint': 'way' } },
    spec: { selector: { app: 'x' }, ports: [{ port: 80 }] },
  },
].map((object) => ({ kind: 'put', resource: read(object) }));
const batches = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 });
const history = fc.tuple(fc.boolean(), batches).map(([bound, steps]) => (bound ? [BOUND, ...steps] : steps));

/** What a listener that only sees deltas believes. */
class Mirror {
  readonly tables: Record<keyof IndexSnapshot, Map<string, unknown>> = {
    workloads: new Map(),
    services: new Map(),
    policies: new Map(),
    waypoints: new Map(),
    gateways: new Map(),
    conditions: new Map(),
    problems: new Map(),
  };

  take({ mesh, waypoints, gateways, conditions, problems }: IndexDelta): void {
    const changed = { ...mesh, waypoints, gateways, conditions, problems };
    for (const [table, changes] of Object.entries(changed)) {
      const mirrored = this.tables[table as keyof IndexSnapshot];
      for (const [key, value] of changes as ReadonlyMap<string, unknown>) {
        const gone = value === null || (Array.isArray(value) && value.length === 0);
        assert.notDeepEqual(gone ? undefined : value, mirrored.get(key), `${table} ${key} was told without having changed`);
        if (gone) mirrored.delete(key);
        else mirrored.set(key, value);
      }
    }
  }
}

/** Plays a history; returns everything there is at its end. */
function play(steps: readonly (readonly Step[])[]) {
  const index = new MeshIndex({ options: DEFAULT_MESH_OPTIONS, definitions: MESH });
  const mirror = new Mirror();
  const resources = new Map<ResourceName, Resource>();
  const nodes = new Map<string, readonly RegisteredWorkload[]>();
  let allocations: Record<string, readonly string[]> = {};
  for (const batch of steps) {
    const change = {
      upserted: [] as Resource[],
      removed: [] as ResourceName[],
      nodes: new Map<string, readonly RegisteredWorkload[]>(),
    };
    for (const one of batch) {
      if (one.kind === 'node') change.nodes.set(one.node, one.workloads);
      else if (one.kind === 'drop') change.removed.push(one.name);
      else change.upserted.push(one.resource);
    }
    for (const dropped of change.removed) resources.delete(dropped);
    for (const one of change.upserted) resources.set(nameOfResource(one), one);
    for (const [node, workloads] of change.nodes) nodes.set(node, workloads);
    const delta = index.apply(change);
    mirror.take(delta);
    if (delta.allocations !== null) allocations = Object.fromEntries(delta.allocations);
  }
  return { index, mirror, allocations, everything: { upserted: [...resources.values()], nodes } satisfies IndexChange };
}

test('after any history the index is what it would be if built at once, in any order', () => {
  fc.assert(
    fc.property(history, fc.boolean(), (steps, reversed) => {
      const { index, allocations, everything } = play(steps);
      const fresh = new MeshIndex({ options: DEFAULT_MESH_OPTIONS, definitions: MESH, allocations });
      fresh.apply({ ...everything, upserted: reversed ? everything.upserted.toReversed() : everything.upserted });
      assert.deepEqual(fresh.snapshot(), index.snapshot());
    }),
    { numRuns: 1000 },
  );
});

test('C12: after any history the deltas add up to the snapshot, and none tells what did not change', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const { index, mirror } = play(steps);
      assert.deepEqual(mirror.tables, index.snapshot());
    }),
    { numRuns: 1000 },
  );
});

test('no two services ever share an address', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const owners = new Map<string, string>();
      for (const [key, { addresses }] of play(steps).index.snapshot().services) {
        for (const address of addresses) assert.equal(owners.set(address, owners.get(address) ?? key).get(address), key);
      }
    }),
    { numRuns: 1000 },
  );
});
