import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aWorkload, deltaOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import { EarlyMesh } from './early-mesh.ts';

const [FIRST, SECOND] = [aWorkload('first', ['10.0.0.1']), aWorkload('second', ['10.0.0.2'])];
const NO_ANSWERS = new Map();
const REMOVED: MeshDelta = { workloads: new Map([[FIRST.uid, null]]), services: new Map(), policies: new Map() };

function setUp() {
  const told: string[] = [];
  const { promise: inForce, resolve: putInForce } = Promise.withResolvers<void>();
  const to = {
    onMesh(delta: MeshDelta): Promise<void> {
      told.push([...delta.workloads].map(([uid, one]) => (one === null ? `-${uid}` : uid)).join(' '));
      return inForce;
    },
    onConnected: () => void told.push('connected'),
    onSynced: () => void told.push('synced'),
  };
  return { early: new EarlyMesh(), to, told, putInForce };
}

test('what was told before the agent has its node is one change, which has the last word on each resource', async () => {
  const { early, to, told, putInForce } = setUp();
  early.onConnected();
  const acknowledged = [deltaOf([FIRST]), deltaOf([SECOND]), REMOVED].map((delta) => early.onMesh(delta, NO_ANSWERS));
  early.onSynced();
  early.open(to);
  assert.deepEqual(told, ['connected', `-${FIRST.uid} ${SECOND.uid}`, 'synced']);
  putInForce();
  await Promise.all(acknowledged);
});

test('nothing is acknowledged before the agent has put it in force', async () => {
  const { early, to, putInForce } = setUp();
  let acknowledged = false;
  const first = early.onMesh(deltaOf([FIRST]), NO_ANSWERS).then(() => {
    acknowledged = true;
  });
  early.open(to);
  await Promise.resolve();
  assert.equal(acknowledged, false);
  putInForce();
  await first;
});

test('an agent that has its node hears everything at once', () => {
  const { early, to, told } = setUp();
  early.open(to);
  void early.onMesh(deltaOf([SECOND]), NO_ANSWERS);
  early.onConnected();
  early.onSynced();
  assert.deepEqual(told, ['', SECOND.uid, 'connected', 'synced']);
});

test('a change that cannot be put in force is an error of whoever opens', () => {
  const { early, to } = setUp();
  const onMesh = (): never => {
    throw new Error('no room');
  };
  assert.throws(() => early.open({ ...to, onMesh }), /no room/);
});
