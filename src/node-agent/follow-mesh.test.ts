import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CONFIG_FLAG } from '#model/kernel/abi.ts';
import { aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { startAgentRig } from './agent-rig.testing.ts';
import { discoveryNodeOf, subscribeMesh } from './follow-mesh.ts';

const NO_ANSWERS = new Map<string, string[]>();
const DELTA = deltaOf([aWorkload('client', ['10.0.0.1'])]);

function setUp() {
  const done: string[] = [];
  const agent = {
    synced: false,
    applyMesh(delta: MeshDelta, complete: boolean): void {
      done.push(`${delta.workloads.size} changes, ${complete ? 'the whole mesh' : 'a part'}`);
      agent.synced ||= complete;
    },
    hear: (delta: MeshDelta): void => agent.applyMesh(delta, agent.synced),
    settled: async () => {},
  };
  const events = { beforeChange: () => void done.push('events'), connected: () => void done.push('connected') };
  return { done, subscription: subscribeMesh(agent, events) };
}

test('before the first sync a change is a part of the mesh, afterwards it leaves it whole', () => {
  const { done, subscription } = setUp();
  void subscription.onMesh(DELTA, NO_ANSWERS);
  subscription.onSynced();
  void subscription.onMesh(DELTA, NO_ANSWERS);
  assert.deepEqual(done, ['events', '1 changes, a part', '0 changes, the whole mesh', 'events', '1 changes, the whole mesh']);
});

test('refusals are read before the change that would explain them otherwise', () => {
  const { done, subscription } = setUp();
  void subscription.onMesh(DELTA, NO_ANSWERS);
  assert.equal(done.indexOf('events') < done.findIndex((what) => what.startsWith('1 changes')), true);
});

test('each stream that is opened is told, so that workloads are registered again', () => {
  const { done, subscription } = setUp();
  subscription.onConnected();
  subscription.onConnected();
  assert.deepEqual(done, ['connected', 'connected']);
});

test('a first answer in two parts: the kernel calls its knowledge whole after the second', () => {
  const rig = startAgentRig();
  const { onMesh, onSynced } = subscribeMesh(rig.agent, { beforeChange() {}, connected() {} });
  const cart = aService('cart', ['240.0.0.1']);
  const incomplete = (): boolean => ((rig.kernel.maps.config.get(0)?.flags ?? 0) & CONFIG_FLAG.incomplete) !== 0;
  void onMesh(deltaOf([aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) })]), NO_ANSWERS);
  assert.equal(incomplete(), true);
  void onMesh(deltaOf([], [cart]), NO_ANSWERS);
  onSynced();
  assert.deepEqual([incomplete(), rig.kernel.maps.services.entries().length], [false, 2]);
});

test('a node introduces itself with the account of its token', () => {
  const { id, metadata } = discoveryNodeOf('alpha', 'Kubernetes', 'system:serviceaccount:weft-system:agent');
  assert.equal(id, 'ztunnel~1.1.1.1~alpha.weft-system~weft-system.svc.cluster.local');
  assert.deepEqual(
    [metadata.NODE_NAME, metadata.NAMESPACE, metadata.SERVICE_ACCOUNT, metadata.CLUSTER_ID],
    ['alpha', 'weft-system', 'agent', 'Kubernetes'],
  );
});

test('a token of another shape says nothing about an account, and the control plane refuses it', () => {
  assert.equal(discoveryNodeOf('alpha', 'Kubernetes', 'somebody').metadata.SERVICE_ACCOUNT, '');
});
