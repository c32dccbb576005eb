import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { ADDRESS_FLAG, REASON, TAKEN } from '#model/kernel/abi.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { AGENT } from '#model/settings/agents.ts';
import { type AgentRig, aPolicy, netnsOf, principal, requestOf, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';

/** One name, two lives: `job` of account admin, then `job` of account guest. Rights belong to a life. */
const cart = aService('cart', ['240.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const admin = aWorkload('job', ['10.0.0.1'], { serviceAccount: 'admin' });
const guest = { ...admin, serviceAccount: 'guest' };
const ADMIN_ONLY = aPolicy('allow', principal('admin'));

/** The control plane knows `job` as admin, and says nothing any more. */
async function setUp(): Promise<AgentRig> {
  const rig = startAgentRig();
  await rig.enroll(server);
  rig.net.at(netnsOf(server)).apps.set(8_080, ECHO);
  rig.tell({ workloads: [admin, server], services: [cart], policies: [ADMIN_ONLY] });
  return rig;
}

const allowed = (rig: AgentRig, sourceId: number, destinationId: number): number | undefined =>
  rig.kernel.maps.verdicts.get({ sourceId, destinationId, port: 8_080 })?.allow;
const idOfServer = (rig: AgentRig): number => rig.agent.enrollment.get(server.uid)?.id ?? 0;

test('a number is of one enrolment: the next of the same name has another, also in the same namespace', async () => {
  const rig = await setUp();
  const first = await rig.enroll(admin);
  assert.equal(allowed(rig, first.id, idOfServer(rig)), 1);
  const second = await rig.enroll(guest);
  rig.agent.leave(guest.uid);
  const third = await rig.enroll(admin);
  assert.equal(new Set([first.id, second.id, third.id]).size, 3);
});

test('what the mesh still says of the former one is not said of the new one: no verdict, no record, not ready', async () => {
  const rig = await setUp();
  await rig.enroll(admin);
  rig.agent.leave(admin.uid);
  const { id } = await rig.enroll(guest);
  assert.equal(allowed(rig, id, idOfServer(rig)), undefined);
  rig.tell({ policies: [aPolicy('allow', principal('admin'), { name: 'again' })] });
  assert.equal(allowed(rig, id, idOfServer(rig)), undefined, 'nor after a change of policy');
  const known = rig.agent.known(guest.uid);
  rig.clock.advance(AGENT.knowledgeDeadlineMs);
  assert.equal(await known, false);
});

test('its connections wait for the right record, and are refused without it', async () => {
  const rig = await setUp();
  await rig.enroll(guest);
  const received = receivedBy(rig.dial(guest, '10.0.0.2:8080'));
  await settle();
  rig.clock.advance(AGENT.knowledgeDeadlineMs);
  await until(() => received.error() !== null);
  assert.match(String(rig.access().error), /does not know this workload/);
  const later = receivedBy(rig.dial(guest, '10.0.0.2:8080'));
  await settle();
  rig.tell({ workloads: [guest] });
  await until(() => later.error() !== null);
  assert.deepEqual([rig.access().policy, rig.access()['src.identity']], ['shop/p', 'spiffe://cluster.local/ns/shop/sa/guest']);
});

test('what arrives for it waits for its record too: policies of the former one are not its own', async () => {
  const rig = startAgentRig();
  rig.tell({
    workloads: [{ ...admin, authorizationPolicies: ['shop/p'] }],
    policies: [{ ...ADMIN_ONLY, scope: 'workload-selector' }],
  });
  await rig.enroll(guest);
  const answer = rig.tunnel(guest, { authority: '10.0.0.1:8080', peer: 'spiffe://cluster.local/ns/shop/sa/admin' });
  await settle();
  rig.clock.advance(AGENT.knowledgeDeadlineMs);
  await settle();
  assert.equal((await answer).status, 503);
});

test('its address is its own, and closed, although the mesh says it is somebody else’s', async () => {
  const rig = await setUp();
  const heir = aWorkload('heir', ['10.0.0.1'], { serviceAccount: 'guest' });
  const { id } = await rig.enroll(heir);
  const entry = () => rig.kernel.maps.addresses.get(parseIp('10.0.0.1'));
  assert.deepEqual(entry(), { id, flags: ADDRESS_FLAG.local, waypointId: 0 });
  await rig.enroll(aWorkload('client', ['10.0.0.3']));
  rig.tell({ workloads: [aWorkload('client', ['10.0.0.3'])] });
  const received = receivedBy(rig.dial(aWorkload('client', ['10.0.0.3']), '10.0.0.1:8080'));
  await settle();
  assert.equal(received.error(), null, 'the record may be on its way');
  rig.clock.advance(AGENT.knowledgeDeadlineMs);
  await until(() => received.error() !== null);
  assert.match(String(rig.access().error), /has this address now/);
  rig.agent.leave(heir.uid);
  assert.equal((entry()?.flags ?? 0) & ADDRESS_FLAG.local, 0);
});

test('what the kernel remembers of one that left goes, within a moment and in one walk', async () => {
  const rig = await setUp();
  const { id } = await rig.enroll(admin);
  const { maps } = rig.kernel;
  const flow = {
    netnsCookie: 0n,
    source: parseIp('10.0.0.1'),
    destination: parseIp('10.0.0.2'),
    sourcePort: 1,
    destinationPort: 2,
  };
  const ends = { dialled: flow.destination, backend: flow.destination, dialledPort: 2, backendPort: 2 };
  const origin = {
    ...ends,
    sourceId: id,
    destinationId: idOfServer(rig),
    reason: REASON.direct,
    taken: TAKEN.not,
    generation: 1,
  };
  maps.attested.set(flow, origin);
  maps.captured.set({ ...flow, netnsCookie: 9n }, origin);
  maps.attested.set({ ...flow, sourcePort: 7 }, { ...origin, sourceId: idOfServer(rig) });
  const before = maps.verdicts.entries().length;
  rig.agent.leave(admin.uid);
  rig.clock.advance(AGENT.secondSweepMs);
  assert.deepEqual([maps.attested.entries().length, maps.captured.entries().length], [1, 0]);
  assert.deepEqual([maps.verdicts.entries().length < before, allowed(rig, id, idOfServer(rig))], [true, undefined]);
});

test('a connection that a former enrolment of the namespace was about to make is nobody’s', async () => {
  const rig = await setUp();
  await rig.enroll(admin);
  const socket = rig.dial(admin, '10.0.0.2:8080'); // captured, and not accepted yet
  const received = receivedBy(socket);
  const [[flow, origin] = assert.fail('nothing captured')] = rig.kernel.maps.captured.entries();
  rig.kernel.maps.captured.set(flow, { ...origin, sourceId: origin.sourceId + 1_000 });
  await until(() => received.error() !== null);
  assert.match(String(rig.access().error), /did not capture/);
});

test('an enrolment that ends cuts what it carries and what still waits', async () => {
  const rig = await setUp();
  await rig.enroll(admin);
  const open = receivedBy(rig.dial(admin, '10.0.0.2:8080'));
  await until(() => rig.agent.carried === 1);
  await rig.enroll(guest);
  await until(() => open.error() !== null);
  assert.match(String(rig.access().error), /the workload left the mesh/);
});

test('an agent that takes over keeps the number of the same sandbox and identity, and of nothing else', async () => {
  const rig = await setUp();
  const { id } = await rig.enroll(admin);
  const next = rig.restart();
  assert.equal((await next.enroll(admin)).id, id);
  const last = next.restart();
  const other = await last.enroll(guest);
  assert.ok(other.id > id);
  assert.deepEqual([last.kernel.maps.names.get(id), last.kernel.maps.names.get(other.id)?.uid], [null, guest.uid]);
  last.clock.advance(AGENT.secondSweepMs);
  assert.equal(allowed(last, id, idOfServer(rig)), undefined);
});

test('a number is not given again after a restart, although every trace of it is gone', async () => {
  const rig = startAgentRig();
  const { id } = await rig.enroll(admin);
  rig.agent.leave(admin.uid);
  const next = rig.restart();
  assert.ok((await next.enroll(guest)).id > id);
});

test('one with other labels does not live by the record of its predecessor, until the control plane has taken it', async () => {
  const rig = await setUp();
  const former = await rig.enroll(admin, { labels: { tier: 'public' } });
  assert.equal(allowed(rig, former.id, idOfServer(rig)), 1);
  rig.agent.leave(admin.uid);
  const request = { ...requestOf(admin), labels: { tier: 'secret' } };
  const { id } = await rig.agent.enroll(request);
  assert.equal(allowed(rig, id, idOfServer(rig)), undefined, 'policies by label are not in the record that is there');
  rig.agent.registered([{ ...request }]);
  rig.clock.advance(AGENT.recordSettleMs);
  assert.equal(allowed(rig, id, idOfServer(rig)), undefined, 'that was the registration of another');
  const known = rig.agent.known(admin.uid);
  rig.agent.registered([request]);
  rig.clock.advance(AGENT.recordSettleMs);
  assert.deepEqual([await known, allowed(rig, id, idOfServer(rig))], [true, 1]);
});

test('one with other labels lives by the record that comes after it, and one with the same by what is there', async () => {
  const rig = await setUp();
  await rig.enroll(admin, { labels: { tier: 'public' } });
  const { id } = await rig.enroll(guest, { labels: { tier: 'secret' } });
  rig.tell({ workloads: [guest] });
  assert.equal(allowed(rig, id, idOfServer(rig)), 0);
  rig.agent.leave(guest.uid);
  const same = await rig.enroll(guest, { labels: { tier: 'secret' } });
  assert.equal(allowed(rig, same.id, idOfServer(rig)), 0);
});
