import assert from 'node:assert/strict';
import test from 'node:test';
import { MESH } from '#control-plane/kinds/list.ts';
import type { ServiceResource } from '#control-plane/mesh/services.ts';
import { readMetadata } from '#control-plane/resources/metadata.ts';
import { nameOf, type Resource, type ResourceName } from '#control-plane/resources/resource.ts';
import { parseIp } from '#model/address/ip.ts';
import { MeshIndex } from './mesh-index.ts';
import { DEFAULT_MESH_OPTIONS } from './mesh-options.ts';

function service(name: string, more: Partial<ServiceResource> = {}): ServiceResource {
  return {
    kind: 'Service',
    metadata: readMetadata({ name, namespace: 'shop' }, true),
    externalName: null,
    headless: false,
    addresses: [],
    ipFamilies: [4],
    selector: { app: name },
    ports: [{ name: '', port: 80, target: 80, protocol: 'TCP', appProtocol: null }],
    nodeLocal: false,
    trafficDistribution: null,
    publishNotReadyAddresses: false,
    affinityTimeoutS: 0,
    ...more,
  };
}

function indexWith(allocations: Record<string, string[]> = {}) {
  const ran: string[] = [];
  const observe = (derivation: string, key: string) => ran.push(`${derivation} ${key}`);
  return { index: new MeshIndex({ options: DEFAULT_MESH_OPTIONS, definitions: MESH, allocations, observe }), ran };
}

const nameOfService = (name: string): ResourceName => nameOf({ kind: 'Service', namespace: 'shop', name });

test('the first change frees addresses kept for services that it does not name, later ones keep theirs', () => {
  const { index } = indexWith({ 'shop/a': ['240.240.1.1'], 'shop/gone': ['240.240.1.2'] });
  const first = index.apply({ upserted: [service('a')] });
  assert.deepEqual(first.allocations, new Map([['shop/a', ['240.240.1.1']]]));
  assert.deepEqual(index.snapshot().services.get('shop/a.shop.svc.cluster.local')?.addresses, ['240.240.1.1']);
  assert.equal(index.apply({}).allocations, null);
  const [address] = index.apply({ upserted: [service('b')] }).allocations?.get('shop/b') ?? [];
  assert.match(address ?? '', /^240\.240\./);
  assert.deepEqual([...(index.apply({ removed: [nameOfService('b')] }).allocations?.keys() ?? [])], ['shop/a']);
});

test('an alias or a written address frees what was kept', () => {
  const { index } = indexWith({ 'shop/a': ['240.240.1.1'], 'shop/b': ['240.240.1.2'] });
  const written = service('b', { addresses: [parseIp('10.96.0.1')] });
  const { allocations } = index.apply({ upserted: [service('a', { externalName: 'example.com' }), written] });
  assert.deepEqual(allocations, new Map());
});

test('an unknown kind and a registered workload have nothing to be put or removed', () => {
  const { index, ran } = indexWith();
  const strange = { kind: 'Strange', metadata: readMetadata({ name: 'x' }, true) } satisfies Resource;
  const delta = index.apply({
    upserted: [strange],
    removed: [nameOf({ kind: 'Workload', namespace: 'shop', name: 'w' }), nameOfService('never there')],
  });
  assert.deepEqual(ran, []);
  assert.equal(delta.mesh.services.size + delta.conditions.size + delta.problems.size, 0);
});

test('what a change removes and puts again is only changed', () => {
  const { index } = indexWith();
  index.apply({ upserted: [service('a')] });
  const same = index.apply({ removed: [nameOfService('a')], upserted: [service('a')] });
  assert.equal(same.mesh.services.size, 0);
  assert.equal(same.allocations, null, 'its address stays');
  const other = index.apply({ removed: [nameOfService('a')], upserted: [service('a', { nodeLocal: true })] });
  assert.equal(other.mesh.services.size, 1);
});

test('a change runs what it concerns, and nothing else', () => {
  const { index, ran } = indexWith();
  const workload = (name: string, app: string) => ({
    node: 'alpha',
    name,
    namespace: 'shop',
    serviceAccount: 'a',
    addresses: [`10.0.0.${name.length}`],
    labels: { app },
    enrolled: true,
    nativeTunnel: false,
  });
  index.apply({
    upserted: [service('a'), service('b')],
    nodes: new Map([['alpha', [workload('w', 'a'), workload('ww', 'b')]]]),
  });
  ran.length = 0;
  index.apply({ upserted: [service('a', { nodeLocal: true })] });
  assert.deepEqual(ran, [
    'user service shop/a',
    'service binding shop/a',
    'waypoint guard shop/a',
    'service shop/a',
    'workload Kubernetes/weft.dev/Workload/shop/w',
  ]);
  ran.length = 0;
  index.apply({ nodes: new Map([['alpha', [workload('w', 'a'), { ...workload('ww', 'b'), enrolled: false }]]]) });
  assert.deepEqual(ran, ['registered endpoint alpha shop/ww', 'workload Kubernetes/weft.dev/Workload/shop/ww']);
  ran.length = 0;
  index.apply({ nodes: new Map([['beta', []]]) });
  assert.deepEqual(ran, []);
});

test('problems and conditions that are no longer there are told as empty lists', () => {
  const { index } = indexWith();
  const bound = service('a');
  const labels = { 'istio.io/use-waypoint': 'missing' };
  index.apply({ upserted: [{ ...bound, metadata: { ...bound.metadata, labels } }] });
  assert.equal(index.snapshot().problems.get(nameOfService('a'))?.length, 1);
  const { problems, conditions } = index.apply({ upserted: [bound] });
  assert.deepEqual(problems, new Map([[nameOfService('a'), []]]));
  assert.deepEqual(conditions, new Map([[nameOfService('a'), []]]));
});
