import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { aPolicy, netnsOf, principal, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';

// F18: an istiod names workloads as it likes; the agent finds its own by their addresses.

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const theirs = (one: Workload): Workload => ({ ...one, uid: `Kubernetes//Pod/shop/${one.name}-7d4f` });

async function setUp(when: 'before' | 'after') {
  const rig = startAgentRig();
  const tell = () => rig.tell({ workloads: [theirs(client), theirs(server)], services: [cart] });
  if (when === 'before') tell();
  for (const one of [client, server]) await rig.enroll(one);
  rig.net.at(netnsOf(server)).apps.set(8080, ECHO);
  if (when === 'after') tell();
  const uids = (): string[] => [...rig.agent.mesh.workloads()].map(({ uid }) => uid).sort();
  return { rig, uids };
}

for (const when of ['before', 'after'] as const) {
  test(`F18: records of other names that came ${when} the enrolments are theirs: they serve, are dialled, and policy finds them`, async () => {
    const { rig, uids } = await setUp(when);
    assert.deepEqual(uids(), [client.uid, server.uid]);
    const socket = rig.dial(client, '240.0.0.1:80');
    const received = receivedBy(socket);
    socket.write('hello');
    await until(() => received.text() === 'hello', 'an answer');
    rig.tell({ policies: [aPolicy('deny', principal('client'))] });
    await until(() => received.error() !== null, 'a reset');
    assert.equal(rig.tunnels.length, 0, 'both are of this node');
  });
}

test('F18: a record that is changed stays that of its enrolment, and goes when the control plane takes it back', async () => {
  const { rig, uids } = await setUp('after');
  rig.tell({ workloads: [{ ...theirs(server), authorizationPolicies: ['shop/x'] }] });
  assert.deepEqual(rig.agent.mesh.workload(server.uid)?.authorizationPolicies, ['shop/x']);
  rig.tell({ gone: [theirs(server)] });
  assert.deepEqual(uids(), [client.uid]);
});

test('F18: a record that names another account, or an address that is not of the workload, is not taken for it', async () => {
  const { rig, uids } = await setUp('after');
  rig.tell({ workloads: [{ ...theirs(server), serviceAccount: 'admin' }] });
  assert.deepEqual(uids(), [client.uid, theirs(server).uid].sort());
  rig.tell({ workloads: [theirs(server)] });
  assert.deepEqual(uids(), [client.uid, server.uid]);
  rig.tell({ workloads: [{ ...theirs(server), addresses: [...server.addresses, ...client.addresses] }] });
  assert.deepEqual(uids(), [client.uid, theirs(server).uid].sort());
});

test('F18: a later pod at the address takes over, and the end of the former one takes nothing away', async () => {
  const { rig, uids } = await setUp('after');
  const next = { ...theirs(server), uid: 'Kubernetes//Pod/shop/server-next' };
  rig.tell({ workloads: [next] });
  rig.tell({ gone: [theirs(server)] });
  assert.deepEqual(uids(), [client.uid, server.uid]);
  rig.tell({ gone: [next] });
  assert.deepEqual(uids(), [client.uid]);
});

test('F18: a record under the name of the enrolment is nearer than one at its address', async () => {
  const { rig, uids } = await setUp('after');
  rig.tell({ gone: [theirs(server)] });
  rig.tell({ workloads: [server] });
  rig.tell({ workloads: [theirs(server)] });
  await settle();
  assert.deepEqual(uids(), [theirs(server).uid, client.uid, server.uid].sort());
  assert.equal(rig.agent.mesh.workload(server.uid)?.uid, server.uid);
});
