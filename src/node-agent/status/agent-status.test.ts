import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { type AgentRig, aPolicy, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { agentStatus, type StatusParts, tokenComplaint } from './agent-status.ts';

const cart = aService('cart', ['240.0.0.1']);
const WAYPOINT = { kind: 'hostname', namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local', hbonePort: 15_008 } as const;
const gateway = aService('waypoint', ['240.0.0.9'], { hostname: WAYPOINT.hostname });
const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const remote = aWorkload('remote', ['10.0.1.2'], { node: 'two' });
const plain = aWorkload('plain', ['10.0.2.2'], { tunnelProtocol: 'none' });
const bound = aWorkload('bound', ['10.0.1.3'], { waypoint: WAYPOINT });
const homeless = aWorkload('homeless', []);
const waypoint = aWorkload('waypoint', ['10.0.1.9'], { node: 'two', services: endpointOf(gateway, 15_008) });
const ALL = [client, server, remote, plain, bound, homeless, waypoint];

function statusOf(rig: AgentRig, change: Partial<StatusParts> = {}) {
  return agentStatus({
    node: 'one',
    version: '1.2.3',
    pid: 42,
    agent: rig.agent,
    refused: new Map(),
    isDraining: () => false,
    outside: [],
    certificates: [],
    controlPlane: { address: '10.0.0.9:15012', connected: true, syncedAtMs: null, error: null },
    degraded: [],
    datagramsClear: false,
    metrics: null,
    maps: rig.kernel.maps,
    pinDir: '/sys/fs/bpf/weft/one',
    counters: {},
    spliceReaders: 'not served',
    ...change,
  });
}

const pathTo = (rig: AgentRig, workload: Workload): string | undefined =>
  statusOf(rig).workloads.find(({ uid }) => uid === workload.uid)?.path;

async function setUp(): Promise<AgentRig> {
  const rig = startAgentRig();
  await rig.enroll(client);
  await rig.enroll(server);
  rig.tell({ workloads: ALL, services: [cart, gateway] });
  return rig;
}

const paths = [
  { name: 'a workload of this node', workload: server, path: 'direct' },
  { name: 'a workload of another node', workload: remote, path: 'hbone' },
  { name: 'a workload without a tunnel', workload: plain, path: 'plaintext' },
  { name: 'a workload behind a waypoint', workload: bound, path: 'waypoint' },
  { name: 'a workload without an address', workload: homeless, path: 'unknown' },
];
for (const { name, workload, path } of paths) {
  test(`the path to ${name} is shown as ${path}`, async () => assert.equal(pathTo(await setUp(), workload), path));
}

test('the path behind a waypoint that is gone is refused, as a connection is', async () => {
  const rig = await setUp();
  rig.tell({ gone: [waypoint] });
  assert.equal(pathTo(rig, bound), 'refused');
});

test('without a workload here there is nobody whose path could be told', () => {
  const rig = startAgentRig();
  rig.tell({ workloads: ALL, services: [cart] });
  assert.equal(pathTo(rig, remote), 'unknown');
});

test('a workload that discovery does not know is shown as not ready, with the reason', async () => {
  const rig = await setUp();
  rig.tell({ gone: [server] });
  const shown = statusOf(rig).enrolled.map(({ name, ready, problem }) => [name, ready, problem]);
  assert.deepEqual(shown, [
    ['client', true, null],
    ['server', false, 'the control plane does not know this workload yet'],
  ]);
});

test('counts are those of the mesh and of the kernel', async () => {
  const rig = await setUp();
  rig.tell({ policies: [aPolicy('deny', { destinationPorts: [9] })] });
  const status = statusOf(rig, { counters: { direct: 7 } });
  assert.deepEqual([status.services, status.policies], [2, 1]);
  assert.deepEqual(status.kernel, {
    pinDir: '/sys/fs/bpf/weft/one',
    generation: rig.agent.generation,
    liveDirectFlows: 0,
    verdicts: rig.kernel.maps.verdicts.entries().length,
    counters: { direct: 7 },
    spliceReaders: 'not served',
  });
  assert.equal(status.kernel.verdicts > 0, true);
});

test('times are readable, and what has not happened has none', async () => {
  const rig = await setUp();
  const one = { identity: 'spiffe://cluster.local/ns/shop/sa/client', renewing: false, error: null };
  const status = statusOf(rig, {
    certificates: [
      { ...one, notAfterMs: 0 },
      { ...one, notAfterMs: null },
    ],
    controlPlane: { address: 'x:1', connected: false, syncedAtMs: 1_000, error: 'away' },
  });
  assert.deepEqual(
    status.certificates.map(({ notAfter }) => notAfter),
    ['1970-01-01T00:00:00.000Z', ''],
  );
  assert.deepEqual(status.controlPlane, {
    address: 'x:1',
    connected: false,
    syncedAt: '1970-01-01T00:00:01.000Z',
    error: 'away',
  });
});

test('a large mesh is listed up to a bound', async () => {
  const rig = startAgentRig();
  await rig.enroll(client);
  rig.tell({
    workloads: Array.from({ length: 1_200 }, (_, index) => aWorkload(`w${index}`, [`10.1.${index >> 8}.${index & 255}`])),
  });
  assert.equal(statusOf(rig).workloads.length, 1_000);
});

test('H7: a token that ends within a week is told, with what to do, and one that has ended too', () => {
  const day = 86_400_000;
  const until = (untilMs: number, issuedMs: number | null = null) => ({ untilMs, issuedMs });
  assert.deepEqual(tokenComplaint('node-2', null, 0), []);
  assert.deepEqual(tokenComplaint('node-2', until(8 * day), 0), []);
  assert.match(tokenComplaint('node-2', until(6 * day), 0).join(), /token ends 1970-01-07T00:00,.*weft token node-2/);
  assert.match(tokenComplaint('node-2', until(day), 2 * day).join(), /token ended 1970-01-02T00:00/);
  // One of three days, as weft up makes them anew, is no news until its last.
  assert.deepEqual(tokenComplaint('node-2', until(3 * day, 0), 1.9 * day), []);
  assert.match(tokenComplaint('node-2', until(3 * day, 0), 2.1 * day).join(), /token ends 1970-01-04T00:00/);
  // A kubelet makes one of twelve hours anew after four fifths of them.
  assert.deepEqual(tokenComplaint('node-2', until(day / 2, 0), 0.44 * day), []);
  assert.match(tokenComplaint('node-2', until(day / 2, 0), 0.46 * day).join(), /token ends 1970-01-01T12:00/);
});
