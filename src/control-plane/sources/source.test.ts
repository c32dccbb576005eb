import assert from 'node:assert/strict';
import test from 'node:test';
import type { Condition } from '#control-plane/index/index-delta.ts';
import { CRD_FILES, KINDS } from '#control-plane/kinds/list.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';
import { formatOrigin, warningAt } from '#control-plane/resources/finding.ts';
import { nameOf, nameOfResource, type Resource } from '#control-plane/resources/resource.ts';
import { createResourceParser } from '#control-plane/resources/resource-parser.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { MemoryStore } from '#model/effects/memory-store.testing.ts';
import { UNSPREAD } from '#model/resilience/retry.ts';
import { readCrds } from '#platform/files/crds.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ClusterListener, FollowedKind } from '#protocol/kubernetes/following.ts';
import { directorySource, type WatchFiles } from './directory/directory-source.ts';
import { kubernetesSource } from './kubernetes/kubernetes-source.ts';
import { LastGoodVersions } from './last-good.ts';
import { MemorySource, type PlainObject } from './memory-source.testing.ts';
import type { Source } from './source.ts';

/**
 * What every source must do, whatever it reads. A new source is one more entry of `SOURCES`.
 */
const parser = createResourceParser(KINDS, await readCrds(CRD_FILES));

/** A source whose place a test writes to: `id` stands for a file, or for the object itself. */
type Rig = {
  source: Source;
  put(id: string, ...objects: PlainObject[]): void;
  remove(id: string): void;
  fail(problem: Error): void;
  /** How the origin of a finding begins: the file, or the object. */
  place(id: string, resource: string): string;
};

function directoryRig(): Rig {
  const files = new Map<string, string>();
  let listener: Parameters<WatchFiles>[0] | null = null;
  const watch: WatchFiles = async (its) => {
    listener = its;
    its.onFiles(new Map(files));
    return {
      close() {
        listener = null;
      },
    };
  };
  const tell = (name: string) => listener?.onFiles(new Map([[name, files.get(name) ?? null]]));
  return {
    source: directorySource({
      clock: new SteppedClock(),
      parser,
      watch,
      lastGood: new LastGoodVersions(new MemoryStore(), SILENT_LOG, { clock: new SteppedClock(), random: UNSPREAD }),
    }),
    put(id, ...objects) {
      // JSON is YAML.
      files.set(`${id}.yaml`, objects.map((object) => JSON.stringify(object, null, 2)).join('\n---\n'));
      tell(`${id}.yaml`);
    },
    remove(id) {
      files.delete(`${id}.yaml`);
      tell(`${id}.yaml`);
    },
    fail: (problem) => listener?.onProblem(problem),
    place: (id) => `${id}.yaml:`,
  };
}

function memoryRig(): Rig {
  const source = new MemorySource(parser);
  return {
    source,
    put(id, ...objects) {
      for (const [at, object] of objects.entries()) source.put(at === 0 ? id : `${id}.${at}`, object);
    },
    remove: (id) => source.remove(id),
    fail: (problem) => source.fail(problem),
    place: (_id, resource) => resource,
  };
}

/** Objects as an API server tells them: of kinds that are followed, each under the one name it has. */
function kubernetesRig(): Rig {
  let listener: ClusterListener | null = null;
  let kinds: readonly FollowedKind[] = [];
  const objects = new Map<string, PlainObject>();
  const keysOf = new Map<string, string[]>();
  let version = 0;
  const keyOf = ({ metadata: { namespace = 'default', name } }: PlainObject): string => `${namespace}/${name}`;
  const tell = (object: PlainObject, isGone: boolean): void => {
    const kind = kinds.find((one) => one.kind === object.kind);
    const { kind: name, apiVersion, metadata } = object;
    const told = {
      ...object,
      kind: name,
      apiVersion,
      metadata: { namespace: 'default', ...metadata, resourceVersion: `${++version}` },
    };
    if (kind !== undefined) listener?.changed(kind, [{ key: keyOf(object), object: isGone ? null : kind.keep(told) }]);
  };
  return {
    source: kubernetesSource({
      kinds: KINDS,
      parser,
      clock: new SteppedClock(),
      lastGood: new LastGoodVersions(new MemoryStore(), SILENT_LOG, { clock: new SteppedClock(), random: UNSPREAD }),
      status: null,
      followNamed: () => ({ told: Promise.resolve(), problems: () => [], close() {} }),
      follow: async (followed, its) => {
        [kinds, listener] = [followed, its];
        for (const object of objects.values()) tell(object, false);
        return {
          served: () => null,
          problems: () => [],
          close() {
            listener = null;
          },
        };
      },
    }),
    put(id, ...given) {
      keysOf.set(id, given.map(keyOf));
      for (const object of given) {
        objects.set(keyOf(object), object);
        tell(object, false);
      }
    },
    remove(id) {
      for (const key of keysOf.get(id) ?? []) {
        const object = objects.get(key);
        objects.delete(key);
        if (object !== undefined) tell(object, true);
      }
    },
    fail: (problem) => listener?.trouble(problem),
    place: (_id, resource) => resource,
  };
}

/** A valid object; `port` tells its versions apart. */
function service(name: string, port: number): PlainObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: { app: 'a' }, ports: [{ port }] } };
}

/** The same resource, invalid but still recognisable. */
const invalid = (name: string): PlainObject => service(name, 0);

/** Follows a rig's source: what it told adds up in `inForce`, and each telling is a line of `told`. */
async function followed(rig: Rig) {
  const inForce = new Map<string, Resource>();
  const told: string[] = [];
  const troubles: string[] = [];
  const outline = (resources: readonly Resource[]) =>
    resources
      .map((one) => `${one.metadata.name}:${one.kind === 'Service' ? (one as ServiceResource).ports[0]?.port : ''}`)
      .sort();
  await rig.source.start({
    change({ upserted, removed }) {
      for (const name of removed) assert.ok(inForce.delete(name), `${name} was removed but never told`);
      for (const resource of upserted) inForce.set(nameOfResource(resource), resource);
      told.push([...outline(upserted), ...removed.map((name) => `-${name}`)].join(' '));
    },
    trouble: (problem) => troubles.push(problem.message),
  });
  return { told, troubles, services: () => outline([...inForce.values()]).join(' ') };
}

const conditionOf = (name: string, status: Condition['status']): Condition => ({
  resource: nameOf({ kind: 'Service', namespace: 'default', name }),
  type: 'Accepted',
  status,
  reason: 'Test',
  message: '',
});

/** `isTyped`: nobody can put two of one name there, nor what nobody reads. */
const SOURCES: { name: string; make: () => Rig; isTyped?: boolean }[] = [
  { name: 'a directory', make: directoryRig },
  { name: 'objects in memory', make: memoryRig },
  { name: 'a cluster', make: kubernetesRig, isTyped: true },
];
for (const { name: kind, make, isTyped = false } of SOURCES) {
  test(`${kind}: the start tells everything there is, once`, async () => {
    const rig = make();
    rig.put('a', service('x', 1));
    rig.put('b', service('y', 2));
    const { told, services } = await followed(rig);
    assert.deepEqual([told.length, services()], [1, 'x:1 y:2']);
  });

  test(`${kind}: nothing at all is told, too`, async () => {
    assert.deepEqual((await followed(make())).told, ['']);
  });

  test(`${kind}: what is added, changed and deleted is told, and nothing else`, async () => {
    const rig = make();
    rig.put('a', service('x', 1));
    const { told } = await followed(rig);
    rig.put('b', service('y', 2));
    rig.put('a', service('x', 3));
    rig.remove('b');
    assert.deepEqual(told, ['x:1', 'y:2', 'x:3', '-Service default/y']);
  });

  test(`${kind}: what was written anew without another meaning changes nothing`, async () => {
    const rig = make();
    rig.put('a', service('x', 1));
    const { told } = await followed(rig);
    rig.put('a', { ...service('x', 1), metadata: { namespace: 'default', name: 'x' } });
    assert.deepEqual(told, ['x:1', '']);
  });

  test(`${kind}: a bad resource is refused alone, its last good version stays, and its finding says so`, async () => {
    const rig = make();
    rig.put('a', service('x', 1));
    const { services } = await followed(rig);
    rig.put('b', invalid('y'));
    rig.put('a', invalid('x'));
    rig.put('c', service('z', 3));
    assert.equal(services(), 'x:1 z:3');
    const sentences = rig.source.findings().map(({ resource, severity, code, message }) => ({
      what: `${severity} ${code} ${resource}`,
      stays: message.endsWith('the last good version stays in force'),
    }));
    assert.deepEqual(
      sentences.sort((a, b) => (a.what < b.what ? -1 : 1)),
      [
        { what: 'error WEFT_FIELD_INVALID Service default/x', stays: true },
        { what: 'error WEFT_FIELD_INVALID Service default/y', stays: false },
      ],
    );
  });

  test(`${kind}: mended, it is in force again and its finding is gone; deleted, so is the last good version`, async () => {
    const rig = make();
    rig.put('a', service('x', 1));
    rig.put('b', service('y', 1));
    const { services } = await followed(rig);
    rig.put('a', invalid('x'));
    rig.put('b', invalid('y'));
    rig.put('a', service('x', 4));
    rig.remove('b');
    assert.deepEqual([services(), rig.source.findings()], ['x:4', []]);
  });

  test(`${kind}: of two that claim one name the first counts, the second is told; it steps in when the first goes`, {
    skip: isTyped,
  }, async () => {
    const rig = make();
    rig.put('b', service('x', 2));
    rig.put('a', service('x', 1));
    const { services } = await followed(rig);
    assert.equal(services(), 'x:1');
    const [finding, ...others] = rig.source.findings();
    assert.deepEqual([finding?.code, finding?.resource, others], ['WEFT_RESOURCE_DUPLICATE', 'Service default/x', []]);
    assert.match(finding?.message ?? '', /^already described .*; the document here is ignored$/);
    assert.ok(finding !== undefined && formatOrigin(finding.origin).startsWith(rig.place('b', 'Service default/x')));
    rig.remove('a');
    assert.deepEqual([services(), rig.source.findings()], ['x:2', []]);
  });

  test(`${kind}: a kind that nobody reads is a warning and no resource`, { skip: isTyped }, async () => {
    const rig = make();
    rig.put('a', { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' } });
    assert.equal((await followed(rig)).services(), '');
    assert.deepEqual(
      rig.source.findings().map(({ severity, code, resource }) => [severity, code, resource]),
      [['warning', 'WEFT_KIND_UNKNOWN', 'Deployment x']],
    );
  });

  test(`${kind}: a finding, and a problem found later, have the place where their field is written`, async () => {
    const rig = make();
    rig.put('a', invalid('x'));
    rig.put('b', service('y', 1));
    await followed(rig);
    const y = nameOf({ kind: 'Service', namespace: 'default', name: 'y' });
    const later = warningAt('WEFT_ADDRESS_CONFLICT', ['spec', 'ports', 0, 'port'], 'odd', 'mend');
    const [own, ...moreOwn] = rig.source.findings();
    const [located, ...moreLocated] = rig.source.locate(new Map([[y, [later]]]));
    assert.deepEqual([own?.fieldPath, located?.fieldPath], ['spec.ports[0].port', 'spec.ports[0].port']);
    assert.deepEqual([moreOwn, moreLocated, located?.resource], [[], [], 'Service default/y']);
    for (const [finding, place] of [
      [own, rig.place('a', 'Service ')],
      [located, rig.place('b', 'Service ')],
    ] as const) {
      assert.ok(finding !== undefined && formatOrigin(finding.origin).startsWith(place), JSON.stringify(finding?.origin));
      if (finding.origin.kind === 'object') assert.equal(finding.origin.fieldPath, 'spec.ports[0].port');
      else assert.ok(finding.origin.line > 8 && finding.origin.column > 1, 'the line of the field, not of the document');
    }
  });

  test(`${kind}: a problem of a workload that no source described has the workload for its place`, async () => {
    const rig = make();
    await followed(rig);
    const name = nameOf({ kind: 'Workload', namespace: 'shop', name: 'web' });
    const [finding] = rig.source.locate(new Map([[name, [warningAt('WEFT_WORKLOAD_DUPLICATE', [], 'twice', 'rename')]]]));
    assert.deepEqual(finding?.origin, {
      kind: 'object',
      object: { kind: 'Workload', namespace: 'shop', name: 'web' },
      fieldPath: '',
    });
  });

  test(`${kind}: conditions that were reported can be read again until none are left`, async () => {
    const rig = make();
    rig.put('a', service('x', 1), service('y', 1));
    await followed(rig);
    const [x, y] = [conditionOf('x', 'False'), conditionOf('y', 'True')];
    rig.source.reportConditions(new Map([[x.resource, [x]]]));
    rig.source.reportConditions(new Map([[y.resource, [y]]]));
    assert.deepEqual(rig.source.conditions(), [x, y]);
    rig.source.reportConditions(
      new Map([
        [x.resource, [conditionOf('x', 'True')]],
        [y.resource, []],
      ]),
    );
    assert.deepEqual(rig.source.conditions(), [conditionOf('x', 'True')]);
  });

  test(`${kind}: a source that cannot be read says so, and what it told stays`, async () => {
    const rig = make();
    rig.put('a', service('x', 1));
    const { services, troubles } = await followed(rig);
    rig.fail(new Error('no answer'));
    assert.deepEqual([troubles, services()], [['no answer'], 'x:1']);
  });

  test(`${kind}: after the stop nothing is told`, async () => {
    const rig = make();
    const { told } = await followed(rig);
    await rig.source.stop();
    rig.put('a', service('x', 1));
    rig.fail(new Error('no answer'));
    assert.equal(told.length, 1);
  });
}
