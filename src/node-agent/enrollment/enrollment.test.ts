import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADDRESS_FLAG, WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type AgentRig, aPolicy, netnsOf, requestOf, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { settle } from '#node-agent/memory-sockets.testing.ts';

/** Of a namespace: one of whoever knows the workload, and one of what carries its connections. */
const HANDLES = 2;

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1', 'fd00::1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const MESH = { workloads: [client, server], services: [cart] };

const portsOf = (rig: AgentRig, workload = client): number[] =>
  [...rig.net.at(netnsOf(workload)).listeners.keys()].sort((a, b) => a - b);

/** All that the agent wrote to the kernel about workloads. */
function traces({ kernel: { maps } }: AgentRig): number[] {
  return [maps.workloads.entries().length, maps.names.entries().length];
}

test('B51: nothing is captured into a void: listeners first, then the arrival hook, then the entry that captures', async () => {
  const rig = startAgentRig();
  const order: string[] = [];
  const { maps } = rig.kernel;
  const set = maps.workloads.set.bind(maps.workloads);
  maps.workloads.set = (key, value) => {
    order.push(...rig.acts, 'capture');
    assert.deepEqual(portsOf(rig), [15_001, 15_006, 15_008, 15_053]);
    set(key, value);
  };
  await rig.enroll(client);
  assert.deepEqual(order, ['attach /netns/client', 'capture']);
});

test('an enrolled workload has its number, name and addresses in the kernel', async () => {
  const rig = startAgentRig();
  const { id } = await rig.enroll(client);
  const { maps } = rig.kernel;
  const netnsCookie = rig.net.at(netnsOf(client)).netnsCookie;
  assert.deepEqual(maps.workloads.get(netnsCookie), { id, flags: 0, ip4: '10.0.0.1', ip6: 'fd00::1' });
  assert.deepEqual(maps.names.get(id), { uid: client.uid, identity: 'spiffe://cluster.local/ns/shop/sa/client' });
});

test('a workload with a tunnel of its own keeps its HBONE port, and the kernel knows', async () => {
  const rig = startAgentRig();
  rig.net.add(netnsOf(client), ['10.0.0.1']).taken.add(15_008);
  await rig.enroll(client, { nativeTunnel: true });
  assert.deepEqual(portsOf(rig), [15_001, 15_006, 15_053]);
  assert.equal(rig.kernel.maps.workloads.get(rig.net.at(netnsOf(client)).netnsCookie)?.flags, WORKLOAD_FLAG.nativeTunnel);
});

test('B51: a repeat is no-op: the same enrollment, no second listener, no handle left open', async () => {
  const rig = startAgentRig();
  const first = await rig.enroll(client);
  const second = await rig.enroll(client);
  assert.equal(second, first);
  const namespace = rig.net.at(netnsOf(client));
  assert.deepEqual(
    [namespace.handles, namespace.listeners.get(15_001)?.length, rig.acts],
    [HANDLES, 1, ['attach /netns/client']],
  );
});

test('B51: a new namespace of the same workload replaces the old one', async () => {
  const rig = startAgentRig();
  await rig.enroll(client);
  const old = rig.net.at(netnsOf(client));
  const fresh = rig.net.add(netnsOf(client), ['10.0.0.1']);
  await rig.enroll(client);
  assert.deepEqual([old.listeners.size, old.handles, fresh.handles], [0, 0, HANDLES]);
  assert.deepEqual(
    rig.kernel.maps.workloads.entries().map(([netnsCookie]) => netnsCookie),
    [fresh.netnsCookie],
  );
});

test('another account in the same namespace is served under its own identity, never under the former one', async () => {
  const rig = startAgentRig();
  const first = await rig.enroll(client);
  const second = await rig.enroll(client, { serviceAccount: 'other' });
  const { maps } = rig.kernel;
  assert.equal(second.identity.serviceAccount, 'other');
  assert.equal(maps.names.get(second.id)?.identity, 'spiffe://cluster.local/ns/shop/sa/other');
  const namespace = rig.net.at(netnsOf(client));
  assert.deepEqual([namespace.handles, namespace.listeners.get(15_001)?.length, first.id === second.id], [HANDLES, 1, false]);
  assert.equal(rig.acts.includes('forget spiffe://cluster.local/ns/shop/sa/client'), true);
});

for (const [what, change] of Object.entries({ addresses: { addresses: ['10.0.0.7'] }, tunnel: { nativeTunnel: true } })) {
  test(`a workload with another ${what} is enrolled anew`, async () => {
    const rig = startAgentRig();
    const first = await rig.enroll(client);
    const second = await rig.enroll(client, change);
    assert.notEqual(second, first);
    assert.deepEqual([rig.agent.enrollment.all(), rig.net.at(netnsOf(client)).handles], [[second], HANDLES]);
  });
}

test('two enrollments of one workload at the same time leave one set of listeners', async () => {
  const rig = startAgentRig();
  const [first, second] = await Promise.all([rig.enroll(client), rig.enroll(client)]);
  assert.equal(first, second);
  const namespace = rig.net.at(netnsOf(client));
  assert.deepEqual([namespace.handles, namespace.listeners.get(15_001)?.length], [HANDLES, 1]);
});

test('a workload that leaves while it is being enrolled is not enrolled afterwards', async () => {
  const rig = startAgentRig();
  const both = [rig.enroll(client), rig.enroll(client)];
  rig.agent.leave(client.uid);
  for (const enrolling of both) await assert.rejects(enrolling, { code: 'WEFT_WORKLOAD_LEFT' });
  assert.deepEqual(
    [portsOf(rig), traces(rig), rig.agent.enrollment.all(), rig.net.at(netnsOf(client)).handles],
    [[], [0, 0], [], 0],
  );
  await rig.enroll(client);
  assert.equal(rig.agent.enrollment.all().length, 1);
});

test('F8: an agent that has handed its node over enrolls nobody and writes nothing, whoever comes or leaves', async () => {
  const rig = startAgentRig();
  await rig.enroll(client);
  const before = traces(rig);
  const enrolling = rig.enroll(server);
  rig.agent.succession.handOver(Promise.resolve());
  await assert.rejects(enrolling, { code: 'WEFT_AGENT_LEAVING' });
  await assert.rejects(rig.enroll(server), { code: 'WEFT_AGENT_LEAVING' });
  rig.agent.leave(client.uid);
  assert.deepEqual(traces(rig), before);
});

test('an agent that stops while a workload is being enrolled writes nothing to the kernel afterwards', async () => {
  const rig = startAgentRig();
  const enrolling = rig.enroll(client);
  rig.agent.stop();
  await assert.rejects(enrolling, { code: 'WEFT_WORKLOAD_LEFT' });
  assert.deepEqual([portsOf(rig), traces(rig)], [[], [0, 0]]);
});

test('a kernel map that is full fails the enrollment, which leaves neither a name nor a hook', async () => {
  const rig = startAgentRig();
  rig.kernel.maps.workloads.set = () => {
    throw new Error('E2BIG');
  };
  await assert.rejects(rig.enroll(client), /E2BIG/);
  assert.deepEqual(
    [portsOf(rig), traces(rig), rig.acts.filter((act) => act !== 'close server')],
    [[], [0, 0], ['attach /netns/client', 'detach']],
  );
});

test('leaving undoes all of it', async () => {
  const rig = startAgentRig();
  rig.tell(MESH);
  await rig.enroll(client);
  rig.agent.leave(client.uid);
  const { listeners, datagrams, handles } = rig.net.at(netnsOf(client));
  assert.deepEqual([listeners.size, datagrams.size, handles, traces(rig)], [0, 0, 0, [0, 0]]);
  assert.equal((rig.kernel.maps.addresses.get(client.addresses[0] ?? null)?.flags ?? 0) & ADDRESS_FLAG.local, 0);
  rig.agent.leave(client.uid); // and once more changes nothing
  assert.equal(rig.acts.filter((act) => act === 'detach').length, 1);
});

test('B59: the certificate goes with the last workload of its identity, not before', async () => {
  const rig = startAgentRig();
  const twin = aWorkload('twin', ['10.0.0.3'], { serviceAccount: 'client' });
  await rig.enroll(client);
  await rig.enroll(twin);
  rig.agent.leave(client.uid);
  assert.deepEqual(
    rig.acts.filter((act) => act.startsWith('forget')),
    [],
  );
  rig.agent.leave(twin.uid);
  assert.deepEqual(rig.acts.at(-1), 'forget spiffe://cluster.local/ns/shop/sa/client');
});

test('B53: a port that a program of the workload holds fails the enrollment, which leaves nothing and can be repeated', async () => {
  const rig = startAgentRig();
  const namespace = rig.net.add(netnsOf(client), ['10.0.0.1']);
  namespace.taken.add(15_053);
  await assert.rejects(rig.enroll(client), { code: 'WEFT_SOCKET' });
  assert.deepEqual([namespace.listeners.size, namespace.handles, traces(rig)], [0, 0, [0, 0]]);
  namespace.taken.clear();
  await rig.enroll(client);
  assert.equal(rig.agent.enrollment.all().length, 1);
});

test('a kernel that cannot attach fails the enrollment, which leaves nothing', async () => {
  const rig = startAgentRig();
  rig.kernel.attachNamespace = () => {
    throw new Error('ENOSPC');
  };
  await assert.rejects(rig.enroll(client), /ENOSPC/);
  assert.deepEqual([portsOf(rig), traces(rig), rig.agent.enrollment.all()], [[], [0, 0], []]);
});

test('a namespace that is gone fails the enrollment', async () => {
  const rig = startAgentRig();
  await assert.rejects(rig.agent.enroll(requestOf(client)), { code: 'WEFT_NETNS' });
});

test('a record that arrives late makes the workload local, and fetches its certificate', async () => {
  const rig = startAgentRig();
  rig.tell({ workloads: [server], services: [cart] });
  const { id } = await rig.enroll(client);
  const [ip = null] = client.addresses;
  assert.deepEqual(rig.kernel.maps.addresses.get(ip), { id, flags: ADDRESS_FLAG.local, waypointId: 0 });
  const known = rig.agent.known(client.uid);
  rig.tell({ workloads: [client] });
  assert.equal(await known, true);
  assert.deepEqual(rig.kernel.maps.addresses.get(ip), {
    id,
    flags: ADDRESS_FLAG.local | ADDRESS_FLAG.hbone | ADDRESS_FLAG.plaintextOpen,
    waypointId: 0,
  });
});

test('a record that never arrives is known to be missing after five seconds', async () => {
  const rig = startAgentRig();
  const known = rig.agent.known(client.uid);
  rig.clock.advance(5_000);
  assert.equal(await known, false);
});

test('a policy that restricts plain text closes the address to it, and its end opens it again', async () => {
  const rig = startAgentRig();
  await rig.enroll(client);
  rig.tell(MESH);
  const open = (): boolean =>
    ((rig.kernel.maps.addresses.get(client.addresses[0] ?? null)?.flags ?? 0) & ADDRESS_FLAG.plaintextOpen) !== 0;
  assert.equal(open(), true);
  rig.tell({ policies: [aPolicy('deny', { notPrincipals: [{ kind: 'presence' }] })] });
  assert.equal(open(), false);
  rig.tell({ gonePolicies: ['shop/p'] });
  assert.equal(open(), true);
});

test('an agent that stops leaves the kernel as it is, and its successor takes the workloads over with their numbers', async () => {
  const rig = startAgentRig();
  rig.tell(MESH);
  const { id } = await rig.enroll(server);
  const before = rig.kernel.maps.addresses.entries();
  const next = rig.restart();
  assert.deepEqual([portsOf(rig, server), traces(rig)], [[], [1, 1]]);
  assert.deepEqual(next.kernel.maps.addresses.entries(), before, 'until the first sync the former knowledge stands');
  const again = await next.enroll(server);
  assert.equal(again.id, id);
  next.tell(MESH);
  assert.deepEqual(portsOf(next, server), [15_001, 15_006, 15_008, 15_053]);
  const stranger = await next.enroll(aWorkload('stranger', ['10.0.0.9']));
  assert.equal(stranger.id > id, true, 'numbers of the former agent are not given again');
});

test('what the former agent knew of a mesh that is gone goes with the first sync', async () => {
  const rig = startAgentRig();
  rig.tell(MESH);
  await rig.enroll(client);
  const next = rig.restart();
  next.tell({ workloads: [client] });
  const ips = next.kernel.maps.addresses.entries().map(([ip]) => ip);
  assert.deepEqual([ips.includes(client.addresses[0] ?? null), ips.includes(server.addresses[0] ?? null)], [true, false]);
  assert.deepEqual(next.kernel.maps.services.entries(), []);
});

test('a workload that was enrolled before the sync is marked local by the sync', async () => {
  const rig = startAgentRig();
  await rig.enroll(server);
  assert.equal(rig.kernel.maps.addresses.get(server.addresses[0] ?? null)?.flags, ADDRESS_FLAG.local, 'and closed until then');
  rig.tell(MESH);
  await settle();
  assert.equal((rig.kernel.maps.addresses.get(server.addresses[0] ?? null)?.flags ?? 0) & ADDRESS_FLAG.local, ADDRESS_FLAG.local);
});
