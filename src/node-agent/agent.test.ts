import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, CONFIG_FLAG, HOOK, REASON } from '#model/kernel/abi.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { AGENT } from '#model/settings/agents.ts';
import { type AgentRig, aPolicy, netnsOf, principal, requestOf, startAgentRig } from './agent-rig.testing.ts';
import { memoryKernel } from './kernel/memory-kernel.testing.ts';
import { ECHO } from './memory-net.testing.ts';
import { receivedBy, settle, until } from './memory-sockets.testing.ts';

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const remote = aWorkload('remote', ['10.0.1.2'], { node: 'two', services: endpointOf(cart) });
const MESH = { workloads: [client, server, remote], services: [cart] };

async function setUp(): Promise<AgentRig> {
  const rig = startAgentRig();
  await rig.enroll(client);
  await rig.enroll(server);
  return rig;
}

const config = (rig: AgentRig) => rig.kernel.maps.config.get(0);
const incomplete = (rig: AgentRig): boolean => ((config(rig)?.flags ?? 0) & CONFIG_FLAG.incomplete) !== 0;
const idOf = (rig: AgentRig, workload: Workload): number => rig.agent.ids.of('workload', workload.uid);
const verdict = (rig: AgentRig, source: Workload | null, destination: Workload, port = 8080) =>
  rig.kernel.maps.verdicts.get({
    sourceId: source === null ? 0 : idOf(rig, source),
    destinationId: idOf(rig, destination),
    port,
  });

/** A connection that the kernel carries from app to app. */
function liveFlow(rig: AgentRig, socketCookie: bigint, source: Workload, destination: Workload, destinationPort = 8080): void {
  const flow = {
    netnsCookie: rig.net.at(netnsOf(source)).netnsCookie,
    source: source.addresses[0] ?? null,
    destination: destination.addresses[0] ?? null,
    sourcePort: 40_000 + Number(socketCookie),
    destinationPort,
  };
  rig.kernel.maps.flows.set(socketCookie, {
    flow,
    sourceId: idOf(rig, source),
    destinationId: idOf(rig, destination),
    generation: rig.agent.generation,
    inbound: 0,
  });
}

test('until the mesh is known the kernel lets nothing unknown out in plain text', async () => {
  const rig = await setUp();
  assert.equal(incomplete(rig), true);
  rig.tell(MESH, false);
  assert.deepEqual([incomplete(rig), rig.agent.synced], [true, false], 'a part of the mesh is not the mesh');
  rig.tell({});
  assert.deepEqual([incomplete(rig), rig.agent.synced], [false, true]);
});

test('a kernel map that is full makes the knowledge incomplete again, and room makes it complete', () => {
  const rig = startAgentRig({ kernel: memoryKernel(2) });
  rig.tell({ workloads: [client, server] });
  assert.equal(incomplete(rig), false);
  rig.tell({ workloads: [remote] });
  assert.equal(incomplete(rig), true);
  assert.match(String(rig.lines.find(({ level }) => level === 'error')?.message), /table write failed/);
  rig.tell({ gone: [remote] });
  assert.equal(incomplete(rig), false);
});

test('the configuration names the schema and the ports that the kernel sends connections to', async () => {
  const rig = await setUp();
  const { schema, outboundPort, plaintextPort, hbonePort, dnsPort, waypointPort } = config(rig) ?? assert.fail('none');
  assert.deepEqual(
    [schema, outboundPort, plaintextPort, hbonePort, dnsPort, waypointPort],
    [rig.kernel.schema, 15_001, 15_006, 15_008, 15_053, 15_010],
  );
});

test('the first sync gives each pair of this node its verdict, so that no first connection waits', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  const { generation } = rig.agent;
  assert.deepEqual(verdict(rig, client, server), { generation, allow: 1 });
  assert.deepEqual(verdict(rig, null, server), { generation, allow: 1 });
  assert.equal(verdict(rig, server, client), null, 'client has no port of a service');
});

test('towards other nodes only denials are told ahead, so that connect() itself can refuse', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  assert.equal(verdict(rig, client, remote), null);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.equal(verdict(rig, client, remote)?.allow, 0);
});

test('a policy makes every verdict a miss at once: the new ones stand before the generation is raised', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  const before = rig.agent.generation;
  const order: string[] = [];
  const { verdicts, config: words } = rig.kernel.maps;
  const [setVerdict, setConfig] = [verdicts.set.bind(verdicts), words.set.bind(words)];
  verdicts.set = (key, value) => {
    order.push(`verdict ${value.generation}`);
    setVerdict(key, value);
  };
  words.set = (key, value) => {
    order.push(`config ${value.generation}`);
    setConfig(key, value);
  };
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.equal(rig.agent.generation, before + 1);
  const raised = order.indexOf(`config ${before + 1}`);
  assert.equal(raised > 0, true);
  assert.equal(
    order.slice(raised).some((one) => one.startsWith('verdict')),
    false,
  );
  assert.equal(verdict(rig, client, server)?.allow, 0);
});

const changes: { name: string; change: Partial<Workload>; raises: boolean }[] = [
  { name: 'its health', change: { healthy: false }, raises: false },
  { name: 'its services', change: { services: new Map() }, raises: false },
  { name: 'its service account', change: { serviceAccount: 'other' }, raises: true },
  { name: 'its namespace', change: { namespace: 'other' }, raises: true },
  { name: 'its trust domain', change: { trustDomain: 'other' }, raises: true },
  { name: 'its policies', change: { authorizationPolicies: ['shop/x'] }, raises: true },
  { name: 'its addresses', change: { addresses: [parseIp('10.0.0.9')] }, raises: true },
];
for (const { name, change, raises } of changes) {
  test(`a workload that changes ${name} ${raises ? 'makes every verdict a miss' : 'keeps the verdicts valid'}`, async () => {
    const rig = await setUp();
    rig.tell(MESH);
    const before = rig.agent.generation;
    rig.tell({ workloads: [{ ...server, ...change }] });
    assert.equal(rig.agent.generation, before + (raises ? 1 : 0));
  });
}

test('a new workload gets its verdicts without a new generation', async () => {
  const rig = await setUp();
  rig.tell({ workloads: [client], services: [cart] });
  const before = rig.agent.generation;
  rig.tell({ workloads: [server] });
  assert.deepEqual([rig.agent.generation, verdict(rig, client, server)], [before, { generation: before, allow: 1 }]);
});

test('a workload that is enrolled after the sync gets its address and verdicts at once', async () => {
  const rig = startAgentRig();
  await rig.enroll(client);
  rig.tell(MESH);
  assert.equal(verdict(rig, client, server), null);
  await rig.enroll(server);
  const flags = rig.kernel.maps.addresses.get(server.addresses[0] ?? null)?.flags ?? 0;
  assert.equal(flags & (ADDRESS_FLAG.local | ADDRESS_FLAG.hbone), ADDRESS_FLAG.local | ADDRESS_FLAG.hbone);
  assert.equal(verdict(rig, client, server)?.allow, 1);
});

test('B49: live kernel flows that a policy denies are aborted; others go on', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  liveFlow(rig, 1n, client, server);
  liveFlow(rig, 2n, server, client);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.deepEqual(
    rig.net.destroyed.map(({ flow }) => flow.sourcePort),
    [40_001],
  );
  const line = rig.lines.findLast(({ message }) => message === 'connection closed due to policy change');
  assert.deepEqual([line?.policy, line?.rule, line?.['dst.addr']], ['shop/p', 0, '10.0.0.2:8080']);
});

test('B49: a flow that was established from a verdict read just before the change is found by the second look', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  liveFlow(rig, 1n, client, server);
  assert.deepEqual(rig.net.destroyed, []);
  rig.clock.advance(1_000);
  assert.equal(rig.net.destroyed.length > 0, true);
});

test('F8: an agent that handed over accepts nothing, lets policy end what it carries, and leaves the kernel to another', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  rig.net.at(netnsOf(server)).apps.set(8080, ECHO);
  const carried = receivedBy(rig.dial(client, '10.0.0.2:8080'));
  await until(() => rig.agent.carried === 1);
  const { generation } = rig.agent;
  const handles = (): number => rig.net.at(netnsOf(server)).handles;
  const before = handles();
  const taken = Promise.withResolvers<void>();
  const handed = rig.agent.succession.handOver(taken.promise);
  assert.equal(handles(), before + 5, 'its sockets stay open for the next one, but not for as long as this one carries:');
  assert.deepEqual(handed.filter(({ netnsCookie }) => netnsCookie === String(rig.net.at(netnsOf(server)).netnsCookie)).length, 5);
  assert.deepEqual([...rig.net.at(netnsOf(client)).listeners.keys()], [PORT.dns], 'names are answered for a while');
  let isOver = false;
  const over = rig.agent.succession.carriedToTheEnd(AGENT.handedOverMs).then(() => (isOver = true));
  rig.clock.advance(60_000);
  taken.resolve();
  await settle();
  assert.deepEqual([isOver, carried.error()], [false, null]);
  assert.ok(handles() <= before, 'an agent that comes after the next one finds the ports free');
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await until(() => carried.error() !== null);
  assert.deepEqual([rig.agent.generation, verdict(rig, client, server)?.allow], [generation, 1]);
  rig.clock.advance(1_000);
  await over;
});

test('what does not end is waited for only so long', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  rig.net.at(netnsOf(server)).apps.set(8080, ECHO);
  rig.dial(client, '10.0.0.2:8080');
  await until(() => rig.agent.carried === 1);
  const over = rig.agent.succession.carriedToTheEnd(AGENT.leaveMs);
  rig.clock.advance(AGENT.leaveMs + 1_000);
  await over;
});

test('B49: a connection that cannot be closed does not save the others, nor those that agents carry', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  rig.net.at(netnsOf(server)).apps.set(8080, ECHO);
  const carried = receivedBy(rig.dial(client, '10.0.0.2:8080'));
  await until(() => rig.agent.carried === 1);
  liveFlow(rig, 1n, client, server);
  liveFlow(rig, 2n, client, server);
  rig.net.undestroyable.add(40_001);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await until(() => carried.error() !== null);
  assert.deepEqual(
    rig.net.destroyed.map(({ flow }) => flow.sourcePort),
    [40_002],
  );
  assert.equal(
    rig.lines.some(({ level, message }) => level === 'error' && message.includes('cannot be closed')),
    true,
  );
});

test('verdicts that cannot be written do not keep old ones valid: the generation rises all the same', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  const before = rig.agent.generation;
  rig.kernel.maps.verdicts.set = () => {
    throw new Error('ENOMEM');
  };
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.deepEqual([rig.agent.generation, config(rig)?.generation], [before + 1, before + 1]);
});

test('a waypoint that the kernel has no room for does not keep a policy from being enforced', async () => {
  const rig = await setUp();
  const gateway = aService('waypoint', ['240.0.0.9']);
  const waypoint = { kind: 'hostname', namespace: 'shop', hostname: gateway.hostname, hbonePort: 15_008 } as const;
  const member = aWorkload('waypoint', ['10.0.0.9'], { services: endpointOf(gateway, 15_008), nativeTunnel: true });
  await rig.enroll(member);
  rig.tell(MESH);
  const set = rig.kernel.maps.waypoints.set.bind(rig.kernel.maps.waypoints);
  rig.kernel.maps.waypoints.set = () => {
    throw new Error('E2BIG');
  };
  const before = rig.agent.generation;
  rig.tell({
    workloads: [member],
    services: [{ ...cart, waypoint }, gateway],
    policies: [aPolicy('deny', principal('client'))],
  });
  assert.equal(rig.agent.generation, before + 1);
  rig.kernel.maps.waypoints.set = set;
  rig.tell({ workloads: [remote] });
  assert.equal(rig.kernel.maps.waypoints.entries().length, 1, 'it is tried again with the next change');
});

test('an agent that stops looks at no flow any more', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  rig.agent.stop();
  liveFlow(rig, 1n, client, server);
  rig.clock.advance(60_000);
  assert.deepEqual(rig.net.destroyed, []);
});

test('F8: an end that could not be enrolled again yet has not left: its connections live on until it has', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  liveFlow(rig, 1n, client, server);
  const live = rig.kernel.maps.flows.get(1n);
  assert.ok(live);
  rig.kernel.maps.flows.set(1n, { ...live, sourceId: 999 }); // of a former agent's enrolment
  const former = { ...client, uid: 'k/former', name: 'former' };
  await assert.rejects(rig.agent.enroll({ ...requestOf(former), netnsPath: '/netns/nowhere' }), { code: 'WEFT_NETNS' });
  rig.tell({ policies: [aPolicy('deny', principal('nobody'))] });
  assert.deepEqual(rig.net.destroyed, []);
  rig.agent.leave(former.uid);
  rig.tell({ policies: [aPolicy('deny', principal('nobody else'))] });
  assert.equal(rig.net.destroyed.length > 0, true);
});

test('a workload that leaves takes its connections with it, also those to it, and what is left of them is tried again', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  liveFlow(rig, 1n, client, server);
  liveFlow(rig, 2n, server, client);
  const id = idOf(rig, client);
  rig.agent.leave(client.uid);
  assert.deepEqual(
    rig.net.destroyed.map(({ flow, inbound }) => [flow.sourcePort, inbound]),
    [
      [40_001, false],
      [40_002, false],
    ],
  );
  const line = rig.lines.findLast(({ message }) => message === 'connection closed: its workload left');
  assert.equal(line?.error, 'one of its ends left the mesh');
  rig.kernel.maps.flows.delete(2n); // as the kernel does; the first one it could not abort
  rig.tell({ policies: [aPolicy('deny', principal('nobody'))] });
  const last = rig.net.destroyed.at(-1);
  assert.deepEqual([last?.flow.sourcePort, last?.inbound], [40_001, true], 'at its other end, since its own is gone');
  assert.notEqual(idOf(rig, client), id);
});

test('a connection that has the ends of one which policy denies is left alone', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  liveFlow(rig, 1n, client, server);
  liveFlow(rig, 2n, client, server);
  rig.net.replaced.add(1n);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.deepEqual(
    rig.net.destroyed.map(({ flow }) => flow.sourcePort),
    [40_002],
  );
});

test('a live connection is judged by who its ends are enrolled as, also when the mesh has forgotten them', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  liveFlow(rig, 1n, client, server);
  rig.tell({ gone: [client, server] });
  assert.deepEqual(rig.net.destroyed, []);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  assert.equal(rig.net.destroyed.length > 0, true);
});

test('a service or workload that is bound to a waypoint makes every decision before it count no longer', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  const before = rig.agent.generation;
  const waypoint = { kind: 'hostname', namespace: 'shop', hostname: 'gate.shop', hbonePort: 15_008 } as const;
  rig.tell({ services: [{ ...cart, waypoint }] });
  rig.tell({ workloads: [{ ...server, waypoint }] });
  assert.equal(rig.agent.generation, before + 2);
});

test('the number of a workload that is gone is not given to another', async () => {
  const rig = await setUp();
  rig.tell(MESH);
  const old = idOf(rig, remote);
  rig.tell({ gone: [remote] });
  rig.tell({ workloads: [remote] });
  assert.notEqual(idOf(rig, remote), old);
  const mine = idOf(rig, server);
  rig.tell({ gone: [server] });
  assert.equal(idOf(rig, server), mine, 'one that is enrolled here keeps its own');
});

test('a refusal of the kernel becomes one line that names both ends and the policy', async () => {
  const rig = await setUp();
  rig.tell({ ...MESH, policies: [aPolicy('deny', principal('client'))] });
  rig.agent.kernelEvent({
    timeNs: 0n,
    sourceId: idOf(rig, client),
    destinationId: idOf(rig, server),
    source: parseIp('10.0.0.1'),
    destination: parseIp('240.0.0.1'),
    sourcePort: 40_000,
    destinationPort: 80,
    reason: REASON.denied,
    hook: HOOK.connect,
  });
  const line = rig.lines.at(-1);
  assert.deepEqual(
    [line?.level, line?.['src.addr'], line?.['dst.addr'], line?.response_flags, line?.policy, line?.rule],
    ['warn', '10.0.0.1:40000', '240.0.0.1:80', 'DENY', 'shop/p', 0],
  );
});

test('a connection that meets a full waiting room is refused instead of waiting without bound', async () => {
  const rig = await setUp();
  for (let count = 0; count < AGENT.waitersMax; count++) void rig.agent.known(`k//Pod/shop/nobody-${count}`);
  const received = receivedBy(rig.dial(client, '10.0.0.2:8080'));
  await until(() => received.error() !== null);
  assert.match(String(rig.access().error), /not known yet/);
});

test('K43: what a former agent captured and nobody is any more is let go, and what somebody is stays', async () => {
  const former = startAgentRig();
  await former.enroll(client);
  const { id } = await former.enroll(server);
  const rig = former.restart();
  await rig.enroll(client);
  rig.tell({ workloads: [client, server] });
  rig.acts.length = 0;
  rig.agent.succession.releaseLeftovers();
  const { workloads, names } = rig.kernel.maps;
  const captured = workloads.entries().map(([, one]) => one.ip4);
  assert.deepEqual([captured, rig.acts, names.get(id)], [['10.0.0.1'], ['detach'], null]);
});
