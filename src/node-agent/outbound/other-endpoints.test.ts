import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { aPolicy, netnsOf, principal, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { settle } from '#node-agent/memory-sockets.testing.ts';
import { converses, isReset } from '#node-agent/two-nodes.testing.ts';

// F9: an endpoint of a service that cannot be reached is followed by others; what is dialled by its own address is not.

const cart = aService('cart', ['240.0.0.1', 'fdf0::1']);
const client = aWorkload('client', ['10.0.0.1', 'fd00::1']);
const far = (at: number): Workload =>
  aWorkload(`far${at}`, [`10.0.1.${at}`, `fd00:1::${at}`], { node: 'two', services: endpointOf(cart) });
const near = aWorkload('near', ['10.0.0.2', 'fd00::2'], { services: endpointOf(cart) });

/** A client on node one and these endpoints, of which those that listen are named. */
async function setUp(endpoints: Workload[], { deaf = [] as string[], dead = [] as Workload[] } = {}) {
  const rig = startAgentRig();
  const two = startAgentRig({ node: 'two', net: rig.net, clock: rig.clock });
  await rig.enroll(client);
  for (const one of endpoints) {
    await (one.node === 'two' ? two : rig).enroll(one);
    if (!dead.includes(one)) rig.net.at(netnsOf(one)).apps.set(8080, ECHO);
  }
  for (const ip of deaf) rig.net.deaf.add(ip);
  for (const one of [rig, two]) one.tell({ workloads: [client, ...endpoints], services: [cart] });
  const asked = (): (string | undefined)[] => rig.tunnels.map(({ request }) => request.authority);
  return { rig, two, asked };
}

test('F9: an app that listens on IPv4 alone is reached by the IPv6 VIP of its service', async () => {
  const { rig, two, asked } = await setUp([far(1)], { deaf: ['fd00:1::1'] });
  await converses(rig.dial(client, '[fdf0::1]:80'));
  assert.deepEqual(asked(), ['[fd00:1::1]:8080', '10.0.1.1:8080']);
  assert.equal(two.net.dials.filter(({ as }) => as !== null).at(-1)?.to, '10.0.1.1:8080');
  assert.deepEqual([rig.access()['dst.addr'], rig.access()['dst.service']], ['10.0.1.1:15008', cart.hostname]);
});

test('F9: and one that listens on IPv6 alone by the IPv4 VIP', async () => {
  const { rig, asked } = await setUp([far(1)], { deaf: ['10.0.1.1'] });
  await converses(rig.dial(client, '240.0.0.1:80'));
  assert.deepEqual(asked(), ['10.0.1.1:8080', '[fd00:1::1]:8080']);
});

test('F9: on one node, where the agent carries it, the app sees the client by its address of that family', async () => {
  const { rig } = await setUp([near], { deaf: ['fd00::2'] });
  const socket = rig.dial(client, '[fdf0::1]:80');
  await converses(socket);
  const apps = rig.net.dials.filter(({ as }) => as !== null).map(({ to, as }) => `${as} > ${to}`);
  assert.deepEqual(apps, [`[fd00::1]:${socket.localPort} > [fd00::2]:8080`, `10.0.0.1:${socket.localPort} > 10.0.0.2:8080`]);
});

test('F9: an endpoint whose app refuses, or whose node does not answer, is followed by another', async () => {
  const [first, second] = [far(1), far(2)];
  const refusing = await setUp([first, second], { dead: [first] });
  await converses(refusing.rig.dial(client, '240.0.0.1:80', { backend: '10.0.1.1:8080' }));
  assert.deepEqual(refusing.asked(), ['10.0.1.1:8080', '[fd00:1::1]:8080', '10.0.1.2:8080']);
  const gone = await setUp([first, second]);
  gone.two.agent.leave(first.uid);
  await converses(gone.rig.dial(client, '240.0.0.1:80', { backend: '10.0.1.1:8080' }));
});

/** Dials, and what is dialled leaves the mesh before it answers; the others in time. */
async function leavesMeanwhile(left: Workload, others: Workload[]) {
  const { rig } = await setUp([left, ...others]);
  for (const address of left.addresses) rig.net.silent.add(address);
  const socket = rig.dial(client, '240.0.0.1:80', { backend: `${left.addresses[0]}:8080` });
  await settle();
  rig.tell({ gone: [left] });
  return { rig, socket };
}

test('F4, F9: an endpoint that leaves the mesh before it answers is waited for no longer, and followed by another', async () => {
  const [first, second] = [far(1), far(2)];
  const { socket } = await leavesMeanwhile(first, [second]);
  await converses(socket);
});

test('F4: where it was the only one, the app is reset at once', async () => {
  const { rig, socket } = await leavesMeanwhile(far(1), []);
  await isReset(socket);
  assert.match(String(rig.access().error), /left the mesh before it answered/);
  assert.equal(rig.agent.carried, 0);
});

test('F4: a change that leaves the endpoint where it is ends no dial', async () => {
  const { rig } = await setUp([far(1), far(2)]);
  rig.net.silent.add('10.0.1.1');
  const socket = rig.dial(client, '240.0.0.1:80', { backend: '10.0.1.1:8080' });
  await settle();
  rig.tell({ gone: [far(2)] });
  await settle();
  assert.deepEqual([socket.destroyed, rig.agent.carried], [false, 0]);
  assert.ok(!rig.lines.some(({ message }) => message === 'connection complete'));
});

test('F9: where none answers, the app is reset after three, and the log has the last cause', async () => {
  const [first, second] = [far(1), far(2)];
  const { rig, asked } = await setUp([first, second], { dead: [first, second] });
  await isReset(rig.dial(client, '240.0.0.1:80'));
  assert.equal(asked().length, 3);
  assert.match(String(rig.access().error), /503/);
  assert.equal(rig.lines.filter(({ message }) => message === 'connection complete').length, 1, 'one line');
  assert.equal(rig.agent.carried, 0);
});

test('F9: an endpoint that is dialled by its own address is not replaced', async () => {
  const { rig, asked } = await setUp([far(1), far(2)], { dead: [far(1)], deaf: ['10.0.1.1'] });
  await isReset(rig.dial(client, '10.0.1.1:8080'));
  assert.deepEqual(asked(), ['10.0.1.1:8080']);
});

test('F9: whom policy refuses is not sent to the next endpoint', async () => {
  const { rig, two, asked } = await setUp([far(1), far(2)]);
  two.tell({ policies: [aPolicy('deny', principal('client'))] });
  await isReset(rig.dial(client, '240.0.0.1:80'));
  assert.equal(asked().length, 1);
  assert.equal(rig.access().response_flags, 'DENY');
});

test('F9: an instance of a waypoint that cannot be reached is followed by another, and nobody goes around it', async () => {
  const rig = startAgentRig();
  await rig.enroll(client);
  const gate = aService('waypoint', ['240.0.0.9']);
  const instance = (at: number): Workload => ({ ...far(at), services: endpointOf(gate, 15_008) });
  const waypoint = { kind: 'hostname', namespace: 'shop', hostname: gate.hostname, hbonePort: 15_008 } as const;
  rig.tell({ workloads: [client, far(1), instance(2), instance(3)], services: [gate, { ...cart, waypoint }] });
  for (const ip of ['10.0.1.2', '10.0.1.3']) rig.net.deaf.add(ip);
  await isReset(rig.dial(client, '240.0.0.1:80'));
  assert.deepEqual(rig.net.dials.map(({ to }) => to).sort(), ['10.0.1.2:15008', '10.0.1.3:15008']);
});
