import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { AGENT } from '#model/settings/agents.ts';
import { aPolicy, principal } from './agent-rig.testing.ts';
import { receivedBy, settle, until } from './memory-sockets.testing.ts';
import { cart, client, converses, isReset, MESH, remote, server, startTwoNodes, type TwoNodes } from './two-nodes.testing.ts';

// F13: what a control plane says in two messages is not judged after the first. An istiod has an order of its own.

/** `server` and `remote` name a policy that nobody has heard of yet. */
const NAMED = ['shop/p'];
const named = (one: Workload): Workload => ({ ...one, authorizationPolicies: NAMED });
const policyFor = (account: string) => aPolicy('allow', principal(account), { scope: 'workload-selector' });

/** Ways to a workload that names the policy: one judged on the other node, one here, one in plain text. */
const WAYS: { name: string; open(nodes: TwoNodes): ReturnType<TwoNodes['rig']['dial']> }[] = [
  { name: 'through a tunnel', open: ({ rig }) => rig.dial(client, '10.0.1.2:8080') },
  { name: 'on one node', open: ({ rig }) => rig.dial(client, '10.0.0.2:8080') },
  { name: 'by a VIP', open: ({ rig }) => rig.dial(client, '240.0.0.1:80') },
  { name: 'in plain text', open: ({ rig }) => rig.plaintext(server, 8080) },
];

for (const { name, open } of WAYS) {
  test(`F13: a live connection ${name} outlives that a policy is named before it is there, and is judged when it is`, async () => {
    const nodes = await startTwoNodes();
    nodes.tell(MESH);
    const socket = open(nodes);
    const received = receivedBy(socket);
    socket.write('hello');
    await until(() => received.text() === 'hello', 'an answer');
    nodes.tell({ workloads: [named(server), named(remote)] });
    nodes.rig.clock.advance(2 * AGENT.knowledgeDeadlineMs);
    await settle();
    assert.equal(received.error(), null, 'as long as nobody knows it, nobody is judged by it');
    nodes.tell({ policies: [policyFor('nobody')] });
    await until(() => received.error() !== null, 'a reset');
  });

  test(`F13: a new connection ${name} waits for a policy that is named, and is judged by it`, async () => {
    const nodes = await startTwoNodes();
    nodes.tell({ ...MESH, workloads: [client, named(server), named(remote)] });
    const socket = open(nodes);
    const received = receivedBy(socket);
    socket.write('hello');
    await settle();
    assert.deepEqual([received.text(), received.error()], ['', null]);
    nodes.tell({ policies: [aPolicy('deny', principal('nobody'), { scope: 'workload-selector' })] });
    await until(() => received.text() === 'hello', 'an answer');
  });

  test(`F13: a new connection ${name} is refused when the policy does not come`, async () => {
    const nodes = await startTwoNodes();
    nodes.tell({ ...MESH, workloads: [client, named(server), named(remote)] });
    const reset = isReset(open(nodes));
    for (let waits = 0; waits < 3; waits++) {
      await settle();
      nodes.rig.clock.advance(AGENT.knowledgeDeadlineMs); // at the source, then at the destination
    }
    await reset;
  });
}

test('F13: a policy that goes before the records that name it leaves live connections alone, and new ones wait', async () => {
  const nodes = await startTwoNodes();
  nodes.tell({ ...MESH, workloads: [client, named(server), named(remote)], policies: [policyFor('client')] });
  const live = nodes.rig.dial(client, '10.0.1.2:8080');
  const received = receivedBy(live);
  live.write('hello');
  await until(() => received.text() === 'hello', 'an answer');
  nodes.tell({ gonePolicies: NAMED });
  const next = nodes.rig.dial(client, '10.0.0.2:8080');
  await settle();
  nodes.tell({ workloads: [server, remote] });
  await converses(next);
  assert.equal(received.error(), null);
});

test('F13: what a known policy denies does not wait for one that is not known', async () => {
  const nodes = await startTwoNodes();
  nodes.tell({
    ...MESH,
    workloads: [client, named(server), named(remote)],
    policies: [aPolicy('deny', principal('client'), { name: 'q' })],
  });
  await isReset(nodes.rig.dial(client, '10.0.1.2:8080'));
  await isReset(nodes.rig.dial(client, '10.0.0.2:8080'));
});

const WAYPOINT_SERVICE = aService('waypoint', ['240.0.0.9']);
const WAYPOINT = { kind: 'hostname', namespace: 'shop', hostname: WAYPOINT_SERVICE.hostname, hbonePort: 15_008 } as const;
const waypoint = aWorkload('waypoint', ['10.0.1.9'], { node: 'two', services: endpointOf(WAYPOINT_SERVICE, 15_008) });

test('F13: a service that names its waypoint before that is known: new connections wait for it', async () => {
  const { rig, tell } = await startTwoNodes();
  tell({ ...MESH, services: [{ ...cart, waypoint: WAYPOINT }] });
  const socket = rig.dial(client, '240.0.0.1:80');
  const received = receivedBy(socket);
  await settle();
  assert.deepEqual([rig.tunnels, received.error()], [[], null]);
  tell({ services: [WAYPOINT_SERVICE] });
  tell({ workloads: [waypoint] });
  await until(() => rig.tunnels.length > 0, 'a tunnel to the waypoint');
  assert.equal(rig.tunnels[0]?.target.address, '10.0.1.9');
});

test('F13: a service that gets a waypoint while a connection to it waits for a policy is never reached around it', async () => {
  const { rig, tell } = await startTwoNodes();
  tell({ ...MESH, workloads: [client, named(server), named(remote)] });
  const reset = isReset(rig.dial(client, '240.0.0.1:80'));
  await settle();
  tell({ services: [{ ...cart, waypoint: WAYPOINT }] });
  tell({ workloads: [server, remote] });
  await settle();
  rig.clock.advance(AGENT.knowledgeDeadlineMs);
  await reset;
  assert.deepEqual([rig.tunnels, rig.net.dials], [[], []]);
});

test('F13, K129: a service that loses its waypoint while that is dialled: the connection goes on without it', async () => {
  const { rig, tell } = await startTwoNodes();
  tell({ ...MESH, services: [WAYPOINT_SERVICE, { ...cart, waypoint: WAYPOINT }], workloads: [client, remote, waypoint] });
  rig.net.silent.add('10.0.1.9');
  const socket = rig.dial(client, '240.0.0.1:80');
  await until(() => rig.tunnels.length > 0, 'a tunnel to the waypoint');
  tell({ services: [cart] });
  await converses(socket);
  assert.deepEqual(
    rig.tunnels.map(({ target }) => target.address),
    ['10.0.1.9', '10.0.1.2'],
  );
});

test('F13: an address of this node waits for the record of whom it belongs to now', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const late = aWorkload('late', ['10.0.0.7']);
  await rig.enroll(late);
  rig.net.at('/netns/late').apps.set(8080, (socket) => void socket.pipe(socket));
  const socket = rig.dial(client, '10.0.0.7:8080');
  await settle();
  assert.deepEqual([rig.tunnels, rig.net.dials], [[], []]);
  tell({ workloads: [late] });
  await converses(socket);
});

test('F12: a first dial before the control plane has answered waits for it, within the time of the dial', async () => {
  const nodes = await startTwoNodes();
  const socket = nodes.rig.dial(client, '240.0.0.1:80');
  await settle();
  nodes.rig.clock.advance(AGENT.knowledgeDeadlineMs - 1);
  nodes.tell(MESH);
  await converses(socket);
  const late = await startTwoNodes();
  const reset = isReset(late.rig.dial(client, '240.0.0.1:80'));
  await settle();
  late.rig.clock.advance(AGENT.knowledgeDeadlineMs);
  await reset;
});
