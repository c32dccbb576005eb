import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { REASON, TAKEN } from '#model/kernel/abi.ts';
import type { Origin } from '#model/kernel/maps.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type AgentRig, aPolicy, netnsOf, principal, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const FLOW = {
  netnsCookie: 0n,
  source: parseIp('10.0.0.1'),
  destination: parseIp('10.0.0.2'),
  sourcePort: 5_000,
  destinationPort: 8_080,
};

async function setUp(): Promise<AgentRig> {
  const rig = startAgentRig();
  await rig.enroll(client);
  await rig.enroll(server);
  rig.net.at(netnsOf(server)).apps.set(8_080, ECHO);
  rig.tell({ workloads: [client, server], services: [cart] });
  return rig;
}

/** What the kernel wrote when `client` dialled the service. */
function attest(rig: AgentRig, change: Partial<Origin> = {}): void {
  const idOf = (uid: string): number => rig.agent.enrollment.get(uid)?.id ?? 0;
  rig.kernel.maps.attested.set(FLOW, {
    sourceId: idOf(client.uid),
    destinationId: idOf(server.uid),
    dialled: parseIp('240.0.0.1'),
    backend: FLOW.destination,
    dialledPort: 80,
    backendPort: 8_080,
    reason: REASON.direct,
    taken: TAKEN.not,
    generation: 1,
    ...change,
  });
}

/** The arrival hook hands it over; resolves to what the client hears. */
async function arrives(rig: AgentRig): Promise<string> {
  const socket = rig.plaintext(server, 8_080, '10.0.0.1:5000');
  const received = receivedBy(socket);
  socket.end('hello');
  await until(() => received.error() !== null || received.ended());
  await settle();
  return received.error() === null ? received.text() : 'refused';
}

test('F18: a connection of this node that the kernel hands over is judged as its opener, once', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('allow', principal('client'))] });
  attest(rig);
  assert.equal(await arrives(rig), 'hello');
  assert.equal(rig.access()['src.identity'], 'spiffe://cluster.local/ns/shop/sa/client');
  assert.equal(rig.access()['dst.service'], cart.hostname, 'what its opener dialled is in the line');
  assert.equal(await arrives(rig), 'refused', 'its record is taken');
  assert.match(String(rig.access().error), /not attested: the kernel has no record/);
});

test('it is refused when policy denies its opener, although plain text would pass', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  attest(rig);
  assert.equal(await arrives(rig), 'refused');
  assert.deepEqual([rig.access().policy, rig.access().response_flags], ['shop/p', 'DENY']);
});

const foreign: { name: string; change: Partial<Origin>; error: RegExp }[] = [
  { name: 'of a connection that is established', change: { taken: TAKEN.byOne }, error: /of another connection/ },
  { name: 'that means another enrolment', change: { destinationId: 99 }, error: /of another connection/ },
  { name: 'of an enrolment that has ended', change: { sourceId: 99 }, error: /left the mesh/ },
];
for (const { name, change, error } of foreign) {
  test(`a record ${name} lets nobody in`, async () => {
    const rig = await setUp();
    attest(rig, change);
    assert.equal(await arrives(rig), 'refused');
    assert.match(String(rig.access().error), error);
  });
}

test('a waypoint that was bound after connect() is not gone around', async () => {
  const rig = await setUp();
  const waypoint = { kind: 'hostname', namespace: 'shop', hostname: 'gate.shop', hbonePort: 15_008 } as const;
  rig.tell({ services: [{ ...cart, waypoint }] });
  attest(rig);
  assert.equal(await arrives(rig), 'refused');
  assert.match(String(rig.access().error), /unknown waypoint/);
});

test('an opener whose record the control plane does not send is refused after the deadline', async () => {
  const rig = await setUp();
  rig.tell({ gone: [client] });
  attest(rig);
  const outcome = arrives(rig);
  await settle();
  rig.clock.advance(5_000);
  assert.equal(await outcome, 'refused');
  assert.match(String(rig.access().error), /does not know the workload that opened it/);
});
