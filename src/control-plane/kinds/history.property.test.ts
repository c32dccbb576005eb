import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import type { IndexChange, IndexDelta } from '#control-plane/index/index-delta.ts';
import type { KindDefinition } from '#control-plane/index/kind-definition.ts';
import { type IndexSnapshot, MeshIndex } from '#control-plane/index/mesh-index.ts';
import { DEFAULT_MESH_OPTIONS } from '#control-plane/index/mesh-options.ts';

import { anyLabels, anyName, anyNamespace } from '#control-plane/mesh/small-world.testing.ts';
import { nameOfResource, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import type { RegisteredWorkload } from '#model/mesh/registration.ts';
import { readCrds } from '#platform/files/crds.ts';
import { CRD_FILES, KINDS, MESH } from './list.ts';
import { aWorkload } from './yaml-mesh.testing.ts';

const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

type Step =
  | { kind: 'put'; resource: Resource }
  | { kind: 'drop'; name: ResourceName }
  | { kind: 'node'; node: string; workloads: RegisteredWorkload[] };

function read(object: unknown): Resource {
  const reading = parser.read(JSON.parse(JSON.stringify(object)));
  if (reading.kind !== 'resource') throw new Error(JSON.stringify(reading));
  return reading.resource;
}

/** Documents of each kind, from `samples.testing.ts` in its folder. Errors: Error when a folder has none. */
async function samplesByKind(): Promise<Map<string, fc.Arbitrary<Resource>>> {
  const folders = readdirSync(import.meta.dirname, { withFileTypes: true })
    .filter((one) => one.isDirectory() && existsSync(join(import.meta.dirname, one.name, 'kind.ts')))
    .map(({ name }) => name);
  const found = new Map<string, fc.Arbitrary<Resource>>();
  for (const folder of folders) {
    const { samples } = (await import(`./${folder}/samples.testing.ts`)) as { samples: fc.Arbitrary<object> };
    const resources = samples.map(read);
    const [first] = fc.sample(resources, 1);
    if (first !== undefined) found.set(first.kind, resources);
  }
  return found;
}

const samples = await samplesByKind();
const anyResource = fc.oneof(...samples.values());

const registered = fc.record(
  {
    namespace: anyNamespace,
    name: anyName,
    labels: anyLabels,
    enrolled: fc.boolean(),
    addresses: fc.constantFrom<string[]>(['10.1.0.1'], ['240.240.0.9'], []),
  },
  { noNullPrototype: true },
);
const registrations: fc.Arbitrary<Step> = fc
  .tuple(fc.constantFrom('alpha', 'beta'), fc.array(registered, { maxLength: 3 }))
  .map(([node, list]): Step => ({ kind: 'node', node, workloads: list.map((one) => aWorkload({ ...one, node })) }));

/** Additions, replacements and removals of `resources`, which few names make meet. */
function stepsOf(resources: fc.Arbitrary<Resource>): fc.Arbitrary<Step> {
  return fc.oneof(
    { weight: 2, arbitrary: resources.map((resource): Step => ({ kind: 'put', resource })) },
    { weight: 1, arbitrary: resources.map((resource): Step => ({ kind: 'drop', name: nameOfResource(resource) })) },
  );
}

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

/** Changes one after the other, several at once; half of them begin with a bound waypoint. */
function historiesOf(step: fc.Arbitrary<Step>): fc.Arbitrary<readonly (readonly Step[])[]> {
  const batches = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 12 });
  return fc.tuple(fc.boolean(), batches).map(([bound, steps]) => (bound ? [BOUND, ...steps] : steps));
}

const anyHistory = historiesOf(fc.oneof({ weight: 9, arbitrary: stepsOf(anyResource) }, { weight: 2, arbitrary: registrations }));

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

/** Plays a history, then builds an index of what there is at its end from nothing: they must agree. */
function assertAsBuiltAtOnce(steps: readonly (readonly Step[])[], reversed: boolean): void {
  const { index, allocations, everything } = play(steps);
  const fresh = new MeshIndex({ options: DEFAULT_MESH_OPTIONS, definitions: MESH, allocations });
  fresh.apply({ ...everything, upserted: reversed ? everything.upserted.toReversed() : everything.upserted });
  assert.deepEqual(fresh.snapshot(), index.snapshot());
}

test('every kind has samples', () => {
  assert.deepEqual([...samples.keys()].sort(), KINDS.map(({ kind }) => kind).sort());
});

for (const { kind } of KINDS) {
  // Two of three changes concern this kind; the others are what it meets.
  const own = samples.get(kind) ?? fc.constant(null).map((): Resource => assert.fail(`${kind} has no samples`));
  const steps = fc.oneof(
    { weight: 6, arbitrary: stepsOf(own) },
    { weight: 3, arbitrary: stepsOf(anyResource) },
    { weight: 1, arbitrary: registrations },
  );
  test(`${kind}: any order of changes equals building from nothing`, () => {
    fc.assert(fc.property(historiesOf(steps), fc.boolean(), assertAsBuiltAtOnce), { numRuns: 300 });
  });

  test(`${kind}: the same resource again derives nothing`, () => {
    fc.assert(
      fc.property(own, fc.array(anyResource, { maxLength: 8 }), (resource, others) => {
        const ran: string[] = [];
        const observe = (derivation: string, key: string) => ran.push(`${derivation} ${key}`);
        const index = new MeshIndex({ options: DEFAULT_MESH_OPTIONS, definitions: MESH, observe });
        index.apply({ upserted: [...others, resource] });
        ran.length = 0;
        index.apply({ upserted: [structuredClone(resource)] });
        assert.deepEqual(ran, []);
      }),
      { numRuns: 50 },
    );
  });
}

test('after any history the index is what it would be if built at once, in any order', () => {
  fc.assert(fc.property(anyHistory, fc.boolean(), assertAsBuiltAtOnce), { numRuns: 1000 });
});

test('C12: after any history the deltas add up to the snapshot, and none tells what did not change', () => {
  fc.assert(
    fc.property(anyHistory, (steps) => {
      const { index, mirror } = play(steps);
      assert.deepEqual(mirror.tables, index.snapshot());
    }),
    { numRuns: 1000 },
  );
});

test('no two services ever share an address, but for hosts of one entry', () => {
  fc.assert(
    fc.property(anyHistory, (steps) => {
      const owners = new Map<string, string>();
      for (const { namespace, name, addresses } of play(steps).index.snapshot().services.values()) {
        // A ServiceEntry may have a Service's name among its hosts: hosts of one resource are told by its name.
        const owner = `${namespace}/${name}`;
        for (const address of addresses) assert.equal(owners.set(address, owners.get(address) ?? owner).get(address), owner);
      }
    }),
    { numRuns: 1000 },
  );
});

/** A kind that nobody defined before: it notes which services there are. */
test('a definition is all that a new kind needs', async () => {
  const { defineKind } = await import('#control-plane/index/kind-definition.ts');
  const { defineDerivation } = await import('#control-plane/index/derivation.ts');
  const { STATUS, statusOf } = await import('#control-plane/index/outputs.ts');
  const { tableOf } = await import('#control-plane/index/table.ts');
  const { SERVICES, serviceNamesIn } = await import('#control-plane/mesh/services.ts');
  const notes = tableOf<Resource>()('notes');
  const note: KindDefinition = defineKind({
    kind: 'Note',
    group: 'example.com',
    versions: ['v1'],
    namespaced: true,
    schema: { kind: 'built-in', schema: {} },
    unknownFields: 'error',
    fields: {},
    check: () => [],
    read: (_raw, metadata) => ({ kind: 'Note', metadata }),
    resources: notes,
    derivations: [
      defineDerivation({
        name: 'note',
        each: notes,
        reads: [SERVICES],
        writes: [...STATUS],
        derive({ value }, mesh) {
          const resource = nameOfResource(value);
          const message = serviceNamesIn(mesh, value.metadata.namespace).join(' ');
          return statusOf(resource, [{ resource, type: 'Noted', status: 'True', reason: 'Noted', message }], []);
        },
      }),
    ],
  });
  const kinds = [...KINDS, note];
  const reading = createResourceParser(kinds, await readCrds(CRD_FILES)).read({
    apiVersion: 'example.com/v1',
    kind: 'Note',
    metadata: { name: 'n', namespace: 'shop' },
  });
  assert.ok(reading.kind === 'resource');
  const index = new MeshIndex({ options: DEFAULT_MESH_OPTIONS, definitions: { ...MESH, kinds } });
  index.apply({ upserted: [reading.resource] });
  const said = () => index.snapshot().conditions.get(nameOfResource(reading.resource))?.[0]?.message;
  assert.equal(said(), '');
  const service = (name: string) =>
    read({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'shop' },
      spec: { selector: { app: 'x' }, ports: [{ port: 80 }] },
    });
  index.apply({ upserted: [service('b'), service('a')] });
  assert.equal(said(), 'a b');
  index.apply({ removed: [nameOfResource(service('a'))] });
  assert.equal(said(), 'b');
});
