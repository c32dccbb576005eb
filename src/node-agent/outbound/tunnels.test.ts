import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DOOR_LIMITS } from '#model/guard/door.ts';
import { Doorkeeper } from '#model/guard/doorkeeper.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import type { Service } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { AGENT } from '#model/settings/agents.ts';
import { aPolicy, credentialsOf, netnsOf, principal } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { asStream, type MemorySocket, receivedBy, settle, socketOf, until } from '#node-agent/memory-sockets.testing.ts';
import { memoryHboneServer } from '#node-agent/memory-tunnels.testing.ts';
import {
  cart,
  client,
  converses,
  isReset,
  MESH,
  remote,
  server,
  startTwoNodes,
  type TwoNodes,
} from '#node-agent/two-nodes.testing.ts';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';

test('path hbone: a tunnel to the workload address with both identities, and the authority that was decided', async () => {
  const { rig, two, tell } = await startTwoNodes();
  tell(MESH);
  const socket = rig.dial(client, '10.0.1.2:8080');
  await converses(socket);
  const [tunnel] = rig.tunnels;
  assert.deepEqual(
    [tunnel?.target.address, tunnel?.target.port, tunnel?.request.authority],
    ['10.0.1.2', 15_008, '10.0.1.2:8080'],
  );
  assert.deepEqual(tunnel?.target.source, { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'client' });
  assert.equal(tunnel?.request.serviceHost, null, 'B14: no host, since no service was dialled');
  const line = rig.access();
  assert.deepEqual(
    [line['dst.addr'], line['dst.hbone_addr'], line['dst.workload']],
    ['10.0.1.2:15008', '10.0.1.2:8080', 'remote'],
  );
  assert.equal(two.access()['src.identity'], 'spiffe://cluster.local/ns/shop/sa/client');
});

test('B14, B50: through a service the host is forwarded, and the app at the end sees the client', async () => {
  const { rig, two, tell } = await startTwoNodes();
  tell(MESH);
  const socket = rig.dial(client, '240.0.0.1:80', { backend: '10.0.1.2:8080' });
  await converses(socket);
  assert.equal(rig.tunnels[0]?.request.serviceHost, cart.hostname);
  assert.equal(rig.net.dials.at(-1)?.as, `10.0.0.1:${socket.localPort}`);
  assert.equal(rig.access()['dst.service'], cart.hostname);
  assert.equal(two.access()['dst.service'], cart.hostname);
});

test('what the kernel drew is kept while it is an endpoint, and drawn anew when it is none any more', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '240.0.0.1:80', { backend: '10.0.1.2:8080' }));
  assert.equal(rig.tunnels.length, 1);
  tell({ gone: [remote] });
  await converses(rig.dial(client, '240.0.0.1:80', { backend: '10.0.1.2:8080' }));
  assert.equal(rig.tunnels.length, 1);
  assert.equal(rig.net.dials.at(-1)?.to, '10.0.0.2:8080');
});

test('B4: a server that proves another identity than the workload has is refused, and the app sees a reset', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  rig.tell({ workloads: [{ ...remote, serviceAccount: 'somebody-else' }] });
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  assert.equal(rig.access().response_flags, 'TLS_FAILURE');
});

test('B10: a 401 of the destination is a denial', async () => {
  const { rig, two, tell } = await startTwoNodes();
  tell(MESH);
  two.tell({ policies: [aPolicy('deny', principal('client'))] });
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  const line = rig.access();
  assert.equal(line.response_flags, 'DENY');
  assert.match(String(line.error), /401/);
});

test('B11: a 503 of the destination is a failed connection', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await isReset(rig.dial(client, '10.0.1.2:9'));
  const line = rig.access();
  assert.deepEqual(
    [line.response_flags, line.error],
    ['CONNECT', 'http status: 503 (the destination workload or port is not reachable)'],
  );
});

test('a denial that this node can see already is not carried to the other node', async () => {
  const { rig, tell } = await startTwoNodes();
  tell({ ...MESH, policies: [aPolicy('deny', principal('client'))] });
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  assert.deepEqual([rig.tunnels, rig.access().response_flags], [[], 'DENY']);
});

test('without a certificate of the workload there is no tunnel', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  rig.withoutCertificate.add('shop/client');
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  assert.equal(rig.access().response_flags, 'IDENTITY_ERROR');
});

const WAYPOINT_SERVICE = aService('waypoint', ['240.0.0.9']);
const WAYPOINT = { kind: 'hostname', namespace: 'shop', hostname: WAYPOINT_SERVICE.hostname, hbonePort: 15_008 } as const;
const waypoint = aWorkload('waypoint', ['10.0.1.9'], { node: 'two', services: endpointOf(WAYPOINT_SERVICE, 15_008) });

/** What the waypoint's own program does with a tunnel: echo. */
const waypointServer = memoryHboneServer(
  {
    credentials: async () => credentialsOf(identityOf(waypoint)),
    trustDomain: 'cluster.local',
    onRefused() {},
    door: new Doorkeeper({ limits: DOOR_LIMITS, clock: new SteppedClock(), isKnown: () => true }),
    onTunnel: (tunnel) => ECHO(socketOf(tunnel.accept(''))),
  },
  () => {},
);

/** `cart` behind a waypoint that this test plays. */
async function setUpWaypoint(change: { service?: Partial<Service>; server?: Partial<Workload> } = {}) {
  const { rig, two, tell } = await startTwoNodes();
  await two.enroll(waypoint, { nativeTunnel: true });
  rig.net.at(netnsOf(waypoint)).apps.set(15_008, (socket) => waypointServer.handle(asStream(socket)));
  const bound = { ...cart, waypoint: WAYPOINT, ...change.service };
  tell({
    workloads: [client, { ...server, ...change.server }, remote, waypoint],
    services: [bound, WAYPOINT_SERVICE],
  });
  return { rig, two, tell };
}

test('B26: a VIP with a waypoint goes to the waypoint, and the authority is the VIP, unchanged', async () => {
  const { rig } = await setUpWaypoint();
  await converses(rig.dial(client, '240.0.0.1:80'));
  const [tunnel] = rig.tunnels;
  assert.deepEqual([tunnel?.target.address, tunnel?.request.authority], ['10.0.1.9', '240.0.0.1:80']);
  assert.deepEqual(tunnel?.target.peers, [{ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'waypoint' }]);
});

test('B27: a pod address with a workload waypoint goes there; through a service without one it does not', async () => {
  const { rig } = await setUpWaypoint({ service: { waypoint: null }, server: { waypoint: WAYPOINT } });
  await converses(rig.dial(client, '10.0.0.2:8080'));
  assert.equal(rig.tunnels[0]?.request.authority, '10.0.0.2:8080');
  await converses(rig.dial(client, '240.0.0.1:80', { backend: '10.0.0.2:8080' }));
  assert.equal(rig.tunnels.length, 1);
});

test('B28: a waypoint that is bound but has no instance refuses; it is never skipped', async () => {
  const { rig, tell } = await setUpWaypoint();
  tell({ gone: [waypoint] });
  const socket = rig.dial(client, '240.0.0.1:80');
  await settle();
  rig.clock.advance(AGENT.knowledgeDeadlineMs); // an instance may be on its way
  await isReset(socket);
  assert.deepEqual([rig.tunnels, rig.net.dials], [[], []]);
  assert.match(String(rig.access().error), /unknown waypoint/);
});

/** A conversation through a tunnel that goes on until something cuts it. */
async function talks(socket: MemorySocket): Promise<ReturnType<typeof receivedBy>> {
  const received = receivedBy(socket);
  socket.write('hello');
  await until(() => received.text() === 'hello', 'an answer');
  return received;
}

type Cut = { name: string; dialled?: string; cut(nodes: TwoNodes): void; cause: string; flag: string };

const CUTS: Cut[] = [
  {
    name: 'a policy that this node alone has heard of',
    cut: ({ rig }) => rig.tell({ policies: [aPolicy('deny', principal('client'))] }),
    cause: 'policy-change',
    flag: 'DENY',
  },
  {
    name: 'an ALLOW policy for others',
    cut: ({ rig }) => rig.tell({ policies: [aPolicy('allow', principal('somebody-else'))] }),
    cause: 'policy-change',
    flag: 'DENY',
  },
  {
    name: 'another service account at the destination',
    cut: ({ rig }) => rig.tell({ workloads: [{ ...remote, serviceAccount: 'other' }] }),
    cause: 'identity-change',
    flag: 'IDENTITY_ERROR',
  },
  {
    name: 'a certificate of its own that expired',
    cut: ({ rig }) => rig.agent.carriers.lapsed(identityOf(client)),
    cause: 'certificate-expired',
    flag: 'IDENTITY_ERROR',
  },
  {
    name: 'another waypoint',
    dialled: '240.0.0.1:80',
    cut: ({ rig }) => rig.tell({ services: [{ ...cart, waypoint: { ...WAYPOINT, hostname: 'other.shop.svc.cluster.local' } }] }),
    cause: 'waypoint-change',
    flag: 'CONNECT',
  },
  {
    name: 'another service account of the waypoint',
    dialled: '240.0.0.1:80',
    cut: ({ rig }) => rig.tell({ workloads: [{ ...waypoint, serviceAccount: 'other' }] }),
    cause: 'identity-change',
    flag: 'IDENTITY_ERROR',
  },
];

for (const { name, dialled = '10.0.1.2:8080', cut, cause, flag } of CUTS)
  test(`B67: a live tunnel is cut at its source by ${name}, with one line and one count`, async () => {
    const nodes = await setUpWaypoint();
    const { rig } = nodes;
    const received = await talks(rig.dial(client, dialled));
    cut(nodes);
    await until(() => received.error() !== null, 'a reset');
    await settle();
    const line = rig.access();
    assert.deepEqual([line.cause, line.response_flags, line.direction], [cause, flag, 'outbound']);
    assert.equal(rig.lines.filter(({ message }) => message === 'connection complete').length, 1);
    assert.equal(rig.agent.meters.total('weft_refusals_total'), 1);
  });

test('F4: a service that leaves its waypoint leaves it the time to end what goes through it; then that is cut', async () => {
  const { rig } = await setUpWaypoint();
  const unbound = { ...cart, waypoint: null };
  const [first, second] = [await talks(rig.dial(client, '240.0.0.1:80')), await talks(rig.dial(client, '240.0.0.1:80'))];
  rig.tell({ services: [unbound] });
  rig.clock.advance(AGENT.formerWaypointMs - 1);
  await settle();
  assert.deepEqual([first.error(), second.error()], [null, null]);
  rig.tell({ services: [{ ...cart, waypoint: WAYPOINT }] });
  rig.clock.advance(1);
  await settle();
  assert.deepEqual([first.error(), second.error()], [null, null], 'it came back');
  rig.tell({ services: [unbound] });
  rig.clock.advance(AGENT.formerWaypointMs);
  await until(() => first.error() !== null && second.error() !== null, 'resets');
  assert.equal(rig.access().cause, 'waypoint-change');
});

test('B67: a connection stays at the waypoint where it is while that is one of two, whatever their weights; then it is cut', async () => {
  const { rig } = await setUpWaypoint();
  const received = await talks(rig.dial(client, '240.0.0.1:80'));
  const other = { ...WAYPOINT, hostname: 'other.shop.svc.cluster.local' };
  for (const service of [
    { ...cart, waypoint: WAYPOINT, canary: { waypoint: other, weight: 100 } },
    { ...cart, waypoint: other, canary: { waypoint: WAYPOINT, weight: 50 } },
    { ...cart, waypoint: other, canary: { waypoint: WAYPOINT, weight: 0 } },
  ]) {
    rig.tell({ services: [service] });
    await settle();
    assert.equal(received.error(), null);
  }
  rig.tell({ services: [{ ...cart, waypoint: other }] });
  await until(() => received.error() !== null, 'a reset');
  assert.equal(rig.access().cause, 'waypoint-change');
});

test('F4: but a policy of an endpoint that would not let it in past the waypoint cuts it at once', async () => {
  const { rig } = await setUpWaypoint();
  const received = await talks(rig.dial(client, '240.0.0.1:80'));
  rig.tell({ services: [{ ...cart, waypoint: null }] });
  await settle();
  assert.equal(received.error(), null);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await until(() => received.error() !== null, 'a reset');
  assert.equal(rig.access().cause, 'policy-change');
});

test('B67: what ends no right leaves a live tunnel alone', async () => {
  const { rig, two } = await setUpWaypoint();
  const direct = await talks(rig.dial(client, '10.0.1.2:8080'));
  const judged = await talks(rig.dial(client, '240.0.0.1:80'));
  rig.tell({ policies: [aPolicy('deny', principal('somebody-else'))] });
  rig.tell({ workloads: [{ ...remote, healthy: false }], policies: [] });
  rig.agent.carriers.lapsed(identityOf(server));
  two.tell({ gone: [client] });
  await settle();
  assert.deepEqual([direct.error(), judged.error()], [null, null]);
});

test('B67: an identity without a certificate opens nothing on a connection that is still there', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.1.2:8080'));
  rig.withoutCertificate.add('shop/client');
  await isReset(rig.dial(client, '10.0.1.2:8080'));
  assert.deepEqual([rig.tunnels.length, rig.access().response_flags], [1, 'IDENTITY_ERROR']);
});

test('a destination that does not answer is given up after ten seconds', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  rig.net.silent.add('10.0.1.2');
  const socket = rig.dial(client, '10.0.1.2:8080');
  await settle();
  rig.clock.advance(10_000);
  await isReset(socket);
  assert.match(String(rig.access().error), /ETIMEDOUT/);
});

test('an app that resets while the tunnel is being opened leaves nothing open', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const upstreams: MemorySocket[] = [];
  rig.net.at(netnsOf(remote)).apps.set(8080, (socket) => void upstreams.push(socket.on('error', () => {})));
  const socket = rig.dial(client, '10.0.1.2:8080');
  await new Promise((resolve) => setImmediate(resolve));
  socket.resetAndDestroy();
  await until(() => upstreams.length === 0 || upstreams.every(({ destroyed }) => destroyed), 'the upstream side ends too');
  await until(() => rig.lines.some(({ message }) => message === 'connection complete'), 'a line for it');
});
