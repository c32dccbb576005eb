import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type AgentRig, aPolicy, type MeshChange, principal } from '#node-agent/agent-rig.testing.ts';
import { receivedBy, until } from '#node-agent/memory-sockets.testing.ts';
import { cart, client, converses, isReset, MESH, remote, server, startTwoNodes } from '#node-agent/two-nodes.testing.ts';

const other = aService('other', ['240.0.0.9']);
const stranger = aWorkload('stranger', ['10.0.1.9'], { node: 'two', services: endpointOf(other) });
const WAYPOINT = { kind: 'hostname', namespace: 'shop', hostname: 'wp.shop.svc.cluster.local', hbonePort: 15_008 } as const;

/** Of the questions asked, those whose answer is at hand for the next connection. */
function atHand({ told }: AgentRig): number {
  const kept = new Set<number>();
  for (const message of told) {
    if (message.kind === 'answer' && message.keeps) kept.add(message.answer);
    if (message.kind === 'drop') for (const answer of message.answers ?? [...kept]) kept.delete(answer);
    if (message.kind === 'revoke') kept.delete(message.answer);
  }
  return kept.size;
}

type Change = { name: string; change: MeshChange; isDropped: boolean };

const CHANGES: Change[] = [
  { name: 'another workload and its service', change: { workloads: [stranger], services: [other] }, isDropped: false },
  { name: 'an endpoint that is no longer healthy', change: { workloads: [{ ...remote, healthy: false }] }, isDropped: true },
  {
    name: 'another endpoint',
    change: { workloads: [aWorkload('fresh', ['10.0.1.3'], { node: 'two', services: endpointOf(cart) })] },
    isDropped: true,
  },
  { name: 'an endpoint that is gone', change: { gone: [remote] }, isDropped: true },
  {
    name: 'another service account of an endpoint',
    change: { workloads: [{ ...remote, serviceAccount: 'x' }] },
    isDropped: true,
  },
  { name: 'other ports of the service', change: { services: [{ ...cart, ports: [] }] }, isDropped: true },
  { name: 'a waypoint of the service', change: { services: [{ ...cart, waypoint: WAYPOINT }] }, isDropped: true },
  {
    name: 'a service of the client’s namespace with the same address',
    change: { services: [aService('rival', ['240.0.0.1'])] },
    isDropped: true,
  },
  { name: 'another record of the client', change: { workloads: [{ ...client, clusterId: 'elsewhere' }] }, isDropped: true },
  { name: 'a policy about somebody else', change: { policies: [aPolicy('deny', principal('x'))] }, isDropped: true },
];

for (const { name, change, isDropped } of CHANGES)
  test(`a change drops what it touches: ${name} ${isDropped ? 'takes the answer back' : 'leaves the answer'}`, async () => {
    const { rig, tell } = await startTwoNodes();
    tell(MESH);
    const via = { backend: '10.0.1.2:8080' };
    await converses(rig.dial(client, '240.0.0.1:80', via));
    const questions = rig.told.filter(({ kind }) => kind === 'answer').length;
    await converses(rig.dial(client, '240.0.0.1:80', via));
    assert.deepEqual([questions, rig.told.filter(({ kind }) => kind === 'answer').length, atHand(rig)], [1, 1, 1]);
    rig.tell(change);
    assert.equal(atHand(rig), isDropped ? 0 : 1);
  });

test('the answer about a tunnel goes with the service that it asks for, and with the record of whoever opened it', async () => {
  for (const { change, left } of [
    { change: { services: [{ ...cart, canonical: false }] }, left: 0 },
    { change: { workloads: [aWorkload('opener', ['10.0.9.1'])] }, left: 0 },
    { change: { workloads: [stranger] }, left: 1 },
  ]) {
    const { rig, tell } = await startTwoNodes();
    tell(MESH);
    const request = { authority: `${cart.hostname}:80`, from: '10.0.9.1:41000' };
    assert.equal((await rig.tunnel(server, request)).status, 200);
    assert.equal(atHand(rig), 1);
    rig.tell(change);
    assert.equal(atHand(rig), left);
  }
});

test('an enrolment that begins or ends takes all answers back: an address may mean another workload', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  assert.equal(atHand(rig), 1);
  await rig.enroll(aWorkload('late', ['10.0.0.8']));
  assert.equal(atHand(rig), 0);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  rig.agent.leave(server.uid);
  assert.equal(atHand(rig), 0);
});

test('no allow after a change: who asks in the very turn of it is judged by it, and what is carried is cut once', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  const carried = rig.dial(client, '10.0.1.2:8080');
  const received = receivedBy(carried);
  carried.write('hello');
  await until(() => received.text() === 'hello', 'an answer');
  const late = rig.dial(client, '10.0.1.2:8080'); // accepted in the next turn, by an answer that was at hand
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await isReset(late);
  await until(() => received.error() !== null, 'the cut');
  assert.equal(rig.told.filter(({ kind }) => kind === 'revoke').length, 1);
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  rig.tell({ gonePolicies: ['shop/p'] });
  await converses(rig.dial(client, '10.0.1.2:8080'));
});

test('a verdict that the kernel keeps is told to it again when it has forgotten', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.0.2:8080'));
  const { verdicts } = rig.kernel.maps;
  assert.equal(atHand(rig), 0);
  for (const [key] of verdicts.entries()) verdicts.delete(key);
  await converses(rig.dial(client, '10.0.0.2:8080'));
  assert.ok(verdicts.entries().length > 0);
});

test('answers that nobody has any more are forgotten, with the rights that they gave', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  rig.tell({ workloads: [{ ...remote, clusterId: 'elsewhere' }] });
  rig.told.length = 0;
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.deepEqual(rig.told, [], 'nothing to drop, and nothing to revoke');
});

test('no allow after settled(): apart, too, what was at hand is gone, and what is carried is cut by then', async () => {
  const { rig, tell } = await startTwoNodes(true);
  tell(MESH);
  await rig.agent.settled();
  await converses(rig.dial(client, '10.0.1.2:8080'));
  const carried = receivedBy(rig.dial(client, '10.0.1.2:8080'));
  await until(() => rig.held(client) === 1, 'a connection that is carried');
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await rig.agent.settled();
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  await until(() => carried.error() !== null, 'the cut');
  assert.equal(rig.access().policy, 'shop/p');
});
