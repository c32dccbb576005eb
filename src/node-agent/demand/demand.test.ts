import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, HOOK, REASON } from '#model/kernel/abi.ts';
import type { KernelEvent } from '#model/kernel/maps.ts';
import { aMesh, aService, aWorkload, deltaOf, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { AGENT } from '#model/settings/agents.ts';
import { LOOKUP } from '#model/settings/lookup.ts';
import { aPolicy, netnsOf, principal, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';
import { cart, client, converses, isReset, remote, server } from '#node-agent/two-nodes.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Demand } from './demand.ts';
import { type DemandRig, startDemandRig } from './demand-rig.testing.ts';

const other = aService('other', ['240.0.0.9']);
const stranger = aWorkload('stranger', ['10.0.1.9'], { node: 'two', services: endpointOf(other) });
const HOST = '9.9.9.9:443';

/** Our node has `client`, another has `remote`, of a mesh of two services. */
async function setUp(): Promise<DemandRig> {
  const demand = await startDemandRig([client]);
  const { rig } = demand;
  demand.has({ workloads: [remote, stranger], services: [cart, other] });
  await onAnotherNode(demand, remote);
  rig.net.hosts.set(HOST, ECHO);
  return demand;
}

/** An agent of node two that knows itself. */
async function onAnotherNode({ rig }: DemandRig, workload: Workload): Promise<void> {
  const two = startAgentRig({ node: 'two', net: rig.net, clock: rig.clock });
  await two.enroll(workload);
  two.tell({ workloads: [workload] });
  rig.net.at(netnsOf(workload)).apps.set(8080, ECHO);
}

/** Lets stepped time pass, and what is told meanwhile arrive. */
async function passes({ rig }: DemandRig, ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= LOOKUP.lookMs) {
    rig.clock.advance(Math.min(left, LOOKUP.lookMs));
    await settle();
  }
}

test('B72: what a workload dials is asked for, waited for, and decided as ever; nothing else of the mesh is known', async () => {
  const { rig, asked, knows } = await setUp();
  assert.deepEqual(knows(), ['client']);
  await converses(rig.dial(client, '240.0.0.1:80'));
  assert.equal(rig.tunnels.length, 1);
  assert.deepEqual(knows(), ['cart', 'client', 'remote']);
  await converses(rig.dial(client, '240.0.0.1:80'));
  assert.deepEqual(asked, ['/240.0.0.1']);
});

test('B72: a service that is known hears of its new endpoints', async () => {
  const demand = await setUp();
  await converses(demand.rig.dial(client, '240.0.0.1:80'));
  demand.has({ workloads: [aWorkload('fresh', ['10.0.1.3'], { node: 'two', services: endpointOf(cart) })], gone: [remote] });
  await settle();
  assert.deepEqual(demand.knows(), ['cart', 'client', 'fresh']);
});

test('B72: an address that nobody has is outside the mesh; it is asked for once', async () => {
  const { rig, asked } = await setUp();
  for (let connections = 0; connections < 3; connections++) await converses(rig.dial(client, HOST));
  assert.deepEqual(asked, ['/9.9.9.9']);
  assert.deepEqual(rig.tunnels, []);
});

test('B72: the kernel is told whom nobody has, and no more when somebody has it or it is asked for no longer', async () => {
  const demand = await setUp();
  const { addresses } = demand.rig.kernel.maps;
  const flags = (text: string) => addresses.get(parseIp(text))?.flags;
  await converses(demand.rig.dial(client, HOST));
  assert.equal(flags('9.9.9.9'), ADDRESS_FLAG.outside);
  demand.has({ workloads: [aWorkload('late', ['9.9.9.9'], { node: 'two' })] });
  await settle();
  assert.equal(flags('9.9.9.9'), ADDRESS_FLAG.hbone);
  demand.rig.net.hosts.set('9.9.9.8:443', ECHO);
  await converses(demand.rig.dial(client, '9.9.9.8:443'));
  assert.equal(flags('9.9.9.8'), ADDRESS_FLAG.outside);
  await passes(demand, LOOKUP.unknownKeptMs + LOOKUP.unknownAgainMs + 2 * LOOKUP.lookMs);
  assert.deepEqual([flags('9.9.9.8'), flags('9.9.9.9')], [undefined, ADDRESS_FLAG.hbone]);
});

test('B72: what the kernel refused since it does not know whose the address is, is asked for', async () => {
  const demand = await setUp();
  const { rig } = demand;
  const sourceId = rig.kernel.maps.workloads.get(rig.net.at(netnsOf(client)).netnsCookie)?.id ?? 0;
  const destination = parseIp('9.9.9.9');
  const nobody = { timeNs: 0n, source: null, sourcePort: 0, destinationId: 0 };
  const refused = { ...nobody, sourceId, destination, destinationPort: 123, hook: HOOK.connect, reason: REASON.unknownMesh };
  const errorOf = (): string => {
    rig.agent.kernelEvent(refused as KernelEvent);
    return String(rig.lines.findLast(({ message }) => message === 'connection refused by the kernel')?.error);
  };
  assert.match(errorOf(), /the control plane was asked for it just now/);
  await settle();
  assert.equal(rig.kernel.maps.addresses.get(destination)?.flags, ADDRESS_FLAG.outside);
  assert.doesNotMatch(errorOf(), /asked/, 'that is answered');
});

test('B72: how many names something has, nothing has and are not answered is on the metrics page', async () => {
  const demand = await setUp();
  const { rig } = demand;
  const shown = (lookup: string): number => {
    const family = rig.agent.meters.collect().find(({ name }) => name === 'weft_lookups');
    return Number(family?.series.find(({ labels }) => labels.lookup === lookup)?.value);
  };
  const own = shown('known');
  await converses(rig.dial(client, '240.0.0.1:80'));
  await converses(rig.dial(client, HOST));
  demand.disconnect();
  rig.dial(client, '9.9.9.7:443');
  await settle();
  assert.deepEqual([shown('known') - own, shown('unknown'), shown('open')], [1, 1, 1]);
});

test('B72: somebody who comes to an address that nobody had is reached by a tunnel from then on', async () => {
  const demand = await setUp();
  const { rig } = demand;
  rig.net.hosts.set('10.0.1.4:8080', ECHO);
  await converses(rig.dial(client, '10.0.1.4:8080'));
  const late = aWorkload('late', ['10.0.1.4'], { node: 'two' });
  demand.has({ workloads: [late] });
  await onAnotherNode(demand, late);
  await converses(rig.dial(client, '10.0.1.4:8080'));
  assert.equal(rig.tunnels.length, 1);
});

test('B72: of a control plane that does not tell so the address is asked for again, and soon', async () => {
  const demand = await setUp();
  await converses(demand.rig.dial(client, HOST));
  await passes(demand, LOOKUP.unknownAgainMs + LOOKUP.lookMs);
  assert.deepEqual(demand.asked, ['/9.9.9.9', '-/9.9.9.9', '/9.9.9.9']);
  await converses(demand.rig.dial(client, HOST));
  await passes(demand, LOOKUP.unknownKeptMs + LOOKUP.unknownAgainMs + 2 * LOOKUP.lookMs);
  assert.equal(demand.asked.at(-1), '-/9.9.9.9', 'nobody has needed it for long');
});

test('B72: without an answer in time a connection is refused, and the next one asks anew', async () => {
  const demand = await setUp();
  const { rig } = demand;
  demand.disconnect();
  const socket = rig.dial(client, HOST);
  const received = receivedBy(socket);
  await settle();
  assert.equal(received.error(), null, 'it waits');
  await passes(demand, AGENT.knowledgeDeadlineMs + LOOKUP.lookMs);
  assert.equal(received.error(), 'ECONNRESET');
  assert.deepEqual([rig.access().cause, rig.net.dials], ['unknown-mesh', []]);
  demand.connect();
  await converses(rig.dial(client, HOST));
});

test('B72: while the control plane is away, what is known goes on, outside of the mesh as in it', async () => {
  const demand = await setUp();
  const { rig } = demand;
  await converses(rig.dial(client, HOST));
  await converses(rig.dial(client, '240.0.0.1:80'));
  demand.disconnect();
  await passes(demand, LOOKUP.unknownKeptMs + LOOKUP.unknownAgainMs);
  await converses(rig.dial(client, HOST));
  await converses(rig.dial(client, '240.0.0.1:80'));
});

test('B72: a workload that dials everything is refused beyond its bound, and takes nothing from another', async () => {
  const demand = await startDemandRig([client, server]);
  const { rig } = demand;
  demand.disconnect();
  const dial = (from: Workload, at: number) => rig.dial(from, `10.${9 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}:80`);
  for (let at = 0; at < LOOKUP.openPerWorkloadMax; at++) dial(client, at).on('error', () => {});
  await settle();
  assert.equal(rig.agent.demand?.counts.open, LOOKUP.openPerWorkloadMax);
  await isReset(dial(client, 70_000));
  assert.match(String(rig.access().error), /too much is asked/);
  const received = receivedBy(dial(server, 70_001));
  await settle();
  assert.equal(received.error(), null, 'it waits');
});

test('B28, B72: the waypoint of a service is asked for, too, and nothing goes around it', async () => {
  const demand = await setUp();
  const { rig } = demand;
  const wp = aService('wp', ['240.0.0.5'], { ports: [{ servicePort: 15_008, targetPort: 15_008, appProtocol: 'unknown' }] });
  const waypoint = { kind: 'hostname', namespace: 'shop', hostname: wp.hostname, hbonePort: 15_008 } as const;
  const instance = aWorkload('wp', ['10.0.1.7'], { node: 'two', services: endpointOf(wp, 15_008), nativeTunnel: true });
  demand.has({ services: [{ ...cart, waypoint }, wp], workloads: [instance] });
  rig.dial(client, '240.0.0.1:80').on('error', () => {});
  await until(() => rig.tunnels.length > 0, 'a tunnel');
  assert.deepEqual([rig.tunnels[0]?.target.address, rig.tunnels[0]?.request.authority], ['10.0.1.7', '240.0.0.1:80']);
  assert.deepEqual(demand.asked, ['/240.0.0.1', 'shop/wp.shop.svc.cluster.local']);
});

test('B72: an endpoint that somebody wrote is a workload of the mesh if one has its address, and never gets plain text then', async () => {
  const demand = await setUp();
  const { rig } = demand;
  const written = aWorkload('written', ['10.0.1.9'], {
    ...{ uid: 'k/networking.istio.io/ServiceEntry/shop/legacy/10.0.1.9', node: '', tunnelProtocol: 'none' as const },
    services: endpointOf(cart),
  });
  demand.has({ workloads: [written], gone: [remote] });
  rig.dial(client, '240.0.0.1:80').on('error', () => {});
  await until(() => rig.tunnels.length > 0, 'a tunnel');
  assert.equal(rig.tunnels[0]?.target.address, '10.0.1.9');
  assert.deepEqual(demand.asked, ['/240.0.0.1', '/10.0.1.9']);
});

test('B72: a workload that ended leaves its address to whom the control plane names next', async () => {
  const demand = await setUp();
  const { rig } = demand;
  await converses(rig.dial(client, '10.0.1.2:8080'));
  demand.has({ gone: [remote] });
  await settle();
  assert.deepEqual([demand.asked, demand.knows()], [['/10.0.1.2', '-/10.0.1.2'], ['client']]);
  rig.net.hosts.set('10.0.1.2:8080', ECHO);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  assert.deepEqual([rig.tunnels.length, demand.asked.at(-1)], [1, '/10.0.1.2']);
});

test('B72: both ends on this node need nothing of the control plane but their records, and policy is whole', async () => {
  const demand = await startDemandRig([client, server]);
  const { rig } = demand;
  rig.net.at(netnsOf(server)).apps.set(8080, ECHO);
  await converses(rig.dial(client, '10.0.0.2:8080'));
  assert.deepEqual(demand.asked, []);
  demand.has({ policies: [aPolicy('deny', principal('client'))] });
  await settle();
  await isReset(rig.dial(client, '10.0.0.2:8080'));
});

test('B72: what names led to that are left is forgotten, but for what others lead to and what runs here', () => {
  const shared = aService('shared', ['240.0.0.8']);
  const both = aWorkload('both', ['10.0.1.5'], { services: new Map([...endpointOf(cart), ...endpointOf(shared)]) });
  const named = aWorkload('named', ['10.0.1.6'], { services: endpointOf(cart) });
  const mesh = aMesh([client, server, remote, both, named], [cart, shared]);
  const forgotten: string[] = [];
  const told: string[] = [];
  const clock = new SteppedClock();
  const demand = new Demand(clock, {
    mesh,
    records: { isLocal: (uid) => uid === client.uid || uid === server.uid, party: () => null },
    forget: ({ workloads, services }, ips) => void forgotten.push(...workloads.keys(), ...services.keys(), ...ips),
  });
  demand.connect({ change: ({ unsubscribe }) => void told.push(...unsubscribe), isConnected: () => true });
  const take = (answers: [string, string[]][]) => demand.take(deltaOf([]), new Map(answers));
  const ask = (ip: string) => demand.unanswered(client, parseIp(ip));
  for (const ip of ['240.0.0.1', '240.0.0.8', '10.0.1.6']) ask(ip);
  take([
    ['/240.0.0.1', [serviceKeyOf(cart)]],
    ['/240.0.0.8', [serviceKeyOf(shared)]],
    ['/10.0.1.6', [named.uid]],
  ]);
  for (const ip of ['240.0.0.8', '10.0.1.6']) ask(ip);
  for (let at = 0; at < LOOKUP.namesMax - 2; at++) {
    const ip = `11.${at >> 16}.${(at >> 8) & 255}.${at & 255}`;
    ask(ip);
    take([[`/${ip}`, ['one']]]);
  }
  clock.advance(LOOKUP.lookMs);
  assert.deepEqual(forgotten, [remote.uid, serviceKeyOf(cart), '240.0.0.1']);
  assert.deepEqual(told, ['/240.0.0.1', serviceKeyOf(cart), remote.uid]);
});

test('B73: a name that a workload asks for is asked of the control plane, and answered by what that says', async () => {
  const demand = await setUp();
  const { agent } = demand.rig;
  const asks = (name: string): Promise<boolean> | undefined =>
    agent.demand?.answers(client.uid, [name], {
      async until(look) {
        await settle();
        return look();
      },
    });
  assert.equal(await asks(serviceKeyOf(cart)), true);
  assert.deepEqual(demand.knows(), ['cart', 'client', 'remote']);
  assert.equal(await asks('shop/none.shop.svc.cluster.local'), true, 'that there is none is an answer');
  demand.disconnect();
  assert.deepEqual([await asks(serviceKeyOf(cart)), await asks(serviceKeyOf(other))], [true, false]);
});

test('B8, B73: a tunnel that asks for another address waits until it is known whether this is its waypoint', async () => {
  const wp = aService('wp', ['240.0.0.5']);
  const waypoint = { kind: 'hostname', namespace: 'shop', hostname: wp.hostname, hbonePort: 15_008 } as const;
  const own = { ...server, services: endpointOf(wp) };
  const demand = await startDemandRig([own]);
  const { rig } = demand;
  rig.net.at(netnsOf(own)).apps.set(8080, ECHO);
  demand.has({ services: [{ ...cart, waypoint }, wp], workloads: [stranger] });
  const answer = await rig.tunnel(own, { authority: '240.0.0.1:8080', from: '10.0.1.9:41000' });
  await until(() => answer.status !== null, 'an answer');
  assert.equal(answer.status, 200);
  await settle();
  assert.deepEqual(demand.asked, ['/10.0.1.9', '/240.0.0.1', 'shop/wp.shop.svc.cluster.local']);
  const refused = await rig.tunnel(own, { authority: '240.0.0.9:8080', from: '10.0.1.9:41001' });
  await until(() => refused.status !== null, 'an answer');
  assert.equal(refused.status, 400);
});

test('B72: what was open before to an address that turns out to be that of a workload elsewhere is closed, past the tunnel as it goes', async () => {
  const demand = await setUp();
  const { rig } = demand;
  const open = (socketCookie: bigint, remote: string) => {
    const ends = { local: parseIp('10.0.0.1'), localPort: 40_000, remote: parseIp(remote), remotePort: 8080 };
    return { socketCookie, ...ends };
  };
  rig.net.at(netnsOf(client)).open = [open(901n, '10.0.1.2'), open(902n, '9.9.9.9')];
  rig.agent.succession.takeOver();
  assert.deepEqual(demand.asked, ['/10.0.1.2', '/9.9.9.9']);
  await settle();
  const closed = rig.lines.filter(({ message }) => message === 'connection closed that nobody judged');
  assert.deepEqual(
    closed.map((line) => line['dst.addr']),
    ['10.0.1.2:8080'],
  );
});
