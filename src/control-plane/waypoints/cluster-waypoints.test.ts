import assert from 'node:assert/strict';
import test from 'node:test';
import type { ManagedGateway } from '#control-plane/index/index-delta.ts';
import { SILENT_LOG } from '#model/effects/log.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import type { ClusterListener, FollowedKind } from '#protocol/kubernetes/following.ts';
import { type KubeObject, objectKey, type ServedKind } from '#protocol/kubernetes/objects.ts';
import { ClusterWaypoints } from './cluster-waypoints.ts';

const GATEWAY: ManagedGateway = {
  ...{ namespace: 'shop', name: 'waypoint', className: 'weft-waypoint', serviceAccount: 'waypoint' },
  labels: {
    'gateway.networking.k8s.io/gateway-name': 'waypoint',
    'gateway.istio.io/managed': 'weft.dev-mesh-controller',
  },
  infrastructure: { labels: {}, annotations: {} },
  ...{ addresses: [], hostname: 'waypoint.shop.svc.cluster.local' },
};

/** An API server in memory that applies whole objects, and tells of each as a watch does. */
function rig(setup: { replicas?: number } = {}) {
  const clock = new SteppedClock();
  const objects = new Map<string, KubeObject>([
    ['GatewayClass /weft-waypoint', { apiVersion: '', kind: 'GatewayClass', metadata: { name: 'weft-waypoint' } }],
    ['Gateway shop/waypoint', { apiVersion: '', kind: 'Gateway', metadata: { name: 'waypoint', namespace: 'shop', uid: 'u1' } }],
  ]);
  const writes: string[] = [];
  const told: (string | null)[] = [];
  const server = { isAway: false, roots: 'first', followers: [] as [FollowedKind[], ClusterListener][] };
  const idOf = ({ kind }: ServedKind, place: { namespace: string; name: string }) => `${kind} ${place.namespace}/${place.name}`;
  const tell = (kind: string, key: string, object: KubeObject | null): void => {
    for (const [kinds, listener] of server.followers)
      for (const one of kinds) if (one.kind === kind) void listener.changed(one, [{ key, object }]);
  };
  const keeper = new ClusterWaypoints({
    writer: {
      async get(kind, place) {
        if (server.isAway) throw new Error('the API server is away');
        return objects.get(idOf(kind, place)) ?? null;
      },
      async create(kind, object) {
        writes.push(`create ${kind.kind}`);
        objects.set(idOf(kind, { namespace: '', name: object.metadata.name }), object);
        return object;
      },
      replace: async () => null,
      async apply(kind, object) {
        writes.push(`apply ${kind.kind}`);
        const id = `${kind.kind} ${objectKey(object)}`;
        const now = { ...object, metadata: { ...object.metadata, resourceVersion: String(writes.length) } };
        objects.set(id, now);
        tell(kind.kind, objectKey(object), now);
        return now;
      },
      async remove(kind, place) {
        writes.push(`remove ${kind.kind}`);
        const was = objects.delete(idOf(kind, place));
        tell(kind.kind, `${place.namespace}/${place.name}`, null);
        return was;
      },
    },
    async follow(kinds, listener) {
      server.followers.push([[...kinds], listener]);
      return { served: () => null, problems: () => [], close: () => {} };
    },
    setup: { image: 'weft', control: 'control:15012', replicas: setup.replicas ?? 2, traces: null, accessLogFormat: null },
    rootsPem: () => server.roots,
    tell: (_key, why) => void told.push(why),
    clock,
    random: () => 0.5,
    log: SILENT_LOG,
  });
  /** Lets so much time pass, and everything happen in it. */
  const pass = async (ms: number): Promise<string[]> => {
    for (let passed = 0; passed <= ms; passed += 500) {
      clock.advance(500);
      for (let turn = 0; turn < 30; turn++) await Promise.resolve();
    }
    return writes.splice(0);
  };
  return { keeper, objects, server, told, pass, tell };
}

const MADE = ['ServiceAccount', 'ConfigMap', 'Service', 'Deployment', 'PodDisruptionBudget'].map((kind) => `apply ${kind}`);

test('objects of a waypoint are made once, and looked at without being written', async () => {
  const { keeper, pass } = rig();
  keeper.change(new Map([['shop/waypoint', GATEWAY]]));
  assert.deepEqual(await pass(1_000), [], 'not before it leads');
  keeper.start();
  assert.deepEqual(await pass(2_000), MADE);
  assert.equal(keeper.states()[0]?.state, 'running');
  assert.deepEqual(await pass(10 * KUBERNETES.waypointLookMs), []);
});

test('K94: the class of waypoints is made by the one that leads where there is none, and one that is there stays', async () => {
  const { keeper, pass, objects } = rig();
  objects.delete('GatewayClass /weft-waypoint');
  assert.deepEqual(await pass(1_000), [], 'not before it leads');
  keeper.start();
  assert.deepEqual(await pass(1_000), ['create GatewayClass']);
  const made = objects.get('GatewayClass /weft-waypoint') ?? assert.fail();
  assert.equal((made.spec as { controllerName: string }).controllerName, 'weft.dev/mesh-controller');
  assert.deepEqual(await pass(2 * KUBERNETES.waypointLookMs), []);
});

test('another root is given to waypoints without touching their pods', async () => {
  const { keeper, pass, server } = rig();
  keeper.start();
  keeper.change(new Map([['shop/waypoint', GATEWAY]]));
  await pass(2_000);
  server.roots = 'second';
  assert.deepEqual(await pass(KUBERNETES.waypointLookMs), ['apply ConfigMap']);
});

test('while the API server is away it is tried again, and the reason is told; then all is made', async () => {
  const { keeper, pass, server, told } = rig();
  server.isAway = true;
  keeper.start();
  keeper.change(new Map([['shop/waypoint', GATEWAY]]));
  await pass(5_000);
  assert.deepEqual([keeper.states()[0]?.state, keeper.states()[0]?.problem], ['stopped', 'the API server is away']);
  server.isAway = false;
  assert.deepEqual(await pass(KUBERNETES.waypointLookMs), MADE);
  assert.equal(told.at(-1), null);
});

test('one that leads no more writes nothing, whatever changes', async () => {
  const { keeper, pass, tell, objects } = rig();
  keeper.start();
  keeper.change(new Map([['shop/waypoint', GATEWAY]]));
  await pass(2_000);
  await keeper.stop();
  const service = objects.get('Service shop/waypoint') ?? assert.fail();
  tell('Service', 'shop/waypoint', { ...service, spec: {} });
  keeper.change(new Map([['shop/waypoint', null]]));
  assert.deepEqual(await pass(KUBERNETES.waypointLookMs), []);
});

test('a Gateway that was made anew has other objects: their owner is another one', async () => {
  const { keeper, pass, objects } = rig();
  keeper.start();
  keeper.change(new Map([['shop/waypoint', GATEWAY]]));
  await pass(2_000);
  const gateway = objects.get('Gateway shop/waypoint') ?? assert.fail();
  objects.set('Gateway shop/waypoint', { ...gateway, metadata: { ...gateway.metadata, uid: 'u2' } });
  assert.deepEqual(await pass(KUBERNETES.waypointLookMs), MADE);
  objects.delete('Gateway shop/waypoint');
  assert.deepEqual(await pass(KUBERNETES.waypointLookMs), [], 'with the Gateway everything goes by itself');
});

test('without a second replica there is no budget, and an account of another name is not made', async () => {
  const { keeper, pass } = rig({ replicas: 1 });
  keeper.start();
  keeper.change(new Map([['shop/waypoint', { ...GATEWAY, serviceAccount: 'theirs' }]]));
  assert.deepEqual(await pass(2_000), ['apply ConfigMap', 'apply Service', 'apply Deployment']);
  keeper.change(new Map([['shop/waypoint', null]]));
  assert.deepEqual((await pass(2_000)).sort(), ['remove ConfigMap', 'remove Deployment', 'remove Service']);
});
