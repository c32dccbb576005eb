import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { aPolicy, netnsOf, principal } from '#node-agent/agent-rig.testing.ts';
import { ECHO } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';
import { cart, client, converses, isReset, MESH, remote, server, startTwoNodes } from '#node-agent/two-nodes.testing.ts';

test('a connection that no hook captured is reset: nobody can pose as captured', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await isReset(rig.dial(client, '10.0.0.2:8080', { captured: false }));
  assert.match(String(rig.access().error), /the kernel did not capture/);
  assert.equal(rig.access().cause, 'not-captured');
  assert.deepEqual(rig.net.dials, []);
});

test('an origin is used once: a second connection from the same port needs a record of its own', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await converses(rig.dial(client, '10.0.0.2:8080'));
  assert.deepEqual(rig.kernel.maps.captured.entries(), []);
});

test('a connection that was reset before it was accepted is closed without a word', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const socket = rig.dial(client, '10.0.0.2:8080');
  Object.assign(socket.other, { remoteAddress: undefined });
  const received = receivedBy(socket);
  await until(() => received.ended() || received.error() !== null);
  assert.deepEqual(
    rig.lines.filter(({ level }) => level === 'warn' || level === 'error'),
    [],
  );
});

test('path local: evaluated here, the app sees the client, the next one of the pair goes direct', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const socket = rig.dial(client, '10.0.0.2:8080');
  await converses(socket);
  assert.deepEqual(rig.net.dials, [
    { from: '/netns/server', to: '10.0.0.2:8080', as: `10.0.0.1:${socket.localPort}`, timeoutMs: 10_000 },
  ]);
  const { ids } = rig.agent;
  const pair = { sourceId: ids.of('workload', client.uid), destinationId: ids.of('workload', server.uid), port: 8080 };
  assert.deepEqual(rig.kernel.maps.verdicts.get(pair), { generation: rig.agent.generation, allow: 1 });
  const line = rig.access();
  assert.deepEqual(
    [line['dst.addr'], line['src.workload'], line['dst.workload'], line.bytes_sent, line.bytes_recv],
    ['10.0.0.2:8080', 'client', 'server', 5, 5],
  );
});

test('path local, port closed: reset, and the line says CONNECT', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  await isReset(rig.dial(client, '10.0.0.2:9'));
  const line = rig.access();
  assert.equal(line.response_flags, 'CONNECT');
  assert.match(String(line.error), /ECONNREFUSED/);
  assert.equal(rig.agent.carried, 0);
});

test('path local, denied: reset before the app hears of it; the kernel remembers and the line names the policy', async () => {
  const { rig, tell } = await startTwoNodes();
  tell({ ...MESH, policies: [aPolicy('deny', principal('client'))] });
  await isReset(rig.dial(client, '10.0.0.2:8080'));
  assert.deepEqual(rig.net.dials, []);
  const line = rig.access();
  assert.deepEqual([line.response_flags, line.policy, line.rule], ['DENY', 'shop/p', 0]);
  const { ids } = rig.agent;
  const pair = { sourceId: ids.of('workload', client.uid), destinationId: ids.of('workload', server.uid), port: 8080 };
  assert.equal(rig.kernel.maps.verdicts.get(pair)?.allow, 0);
});

test('B24: an unknown destination is plain TCP to where it was going', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  rig.net.hosts.set('9.9.9.9:443', ECHO);
  await converses(rig.dial(client, '9.9.9.9:443'));
  assert.deepEqual(rig.net.dials, [{ from: '/netns/client', to: '9.9.9.9:443', as: null, timeoutMs: 10_000 }]);
  const line = rig.access();
  assert.deepEqual([line['dst.addr'], line['dst.workload'], line.error], ['9.9.9.9:443', undefined, undefined]);
});

test('B30: an endpoint without a tunnel gets plain text at its target port', async () => {
  const { rig, tell } = await startTwoNodes();
  const plain = aWorkload('plain', ['10.0.2.2'], { tunnelProtocol: 'none', services: endpointOf(cart, 3000) });
  tell({ workloads: [client, plain], services: [cart] });
  rig.net.hosts.set('10.0.2.2:3000', ECHO);
  await converses(rig.dial(client, '240.0.0.1:80'));
  assert.deepEqual([rig.tunnels, rig.access()['dst.addr']], [[], '10.0.2.2:3000']);
});

test('B31: a service that passes through keeps address and port', async () => {
  const { rig, tell } = await startTwoNodes();
  const loadBalancing = { routingPreference: [], mode: 'passthrough', allowUnhealthy: false } as const;
  tell({ ...MESH, services: [{ ...cart, loadBalancing }] });
  rig.net.hosts.set('240.0.0.1:80', ECHO);
  await converses(rig.dial(client, '240.0.0.1:80'));
  assert.equal(rig.net.dials[0]?.to, '240.0.0.1:80');
});

const refusals = [
  { name: 'a port that the service lacks', dialled: '240.0.0.1:81', change: {}, error: /has no port 81/ },
  {
    name: 'B25: a service without a healthy endpoint',
    dialled: '240.0.0.1:80',
    change: { gone: [server, remote] },
    error: /no healthy upstream/,
  },
];
for (const { name, dialled, change, error } of refusals) {
  test(`refused: ${name}`, async () => {
    const { rig, tell } = await startTwoNodes();
    tell(MESH);
    tell(change);
    await isReset(rig.dial(client, dialled));
    const line = rig.access();
    assert.match(String(line.error), error);
    assert.equal(line.response_flags, 'CONNECT');
  });
}

test('a connection waits for the first sync, and is carried as soon as the mesh is known', async () => {
  const { rig, tell } = await startTwoNodes();
  const socket = rig.dial(client, '10.0.0.2:8080');
  await settle();
  assert.deepEqual(rig.net.dials, []);
  tell(MESH);
  await converses(socket);
});

test('a connection that waits for a mesh that never comes is reset after five seconds', async () => {
  const { rig } = await startTwoNodes();
  const socket = rig.dial(client, '10.0.0.2:8080');
  await settle();
  rig.clock.advance(4_999);
  await settle();
  assert.equal(socket.destroyed, false);
  rig.clock.advance(1);
  await isReset(socket);
  assert.match(String(rig.access().error), /the mesh is not known yet/);
});

test('a connection of a workload that discovery does not know waits for its record, then is refused', async () => {
  const { rig, tell } = await startTwoNodes();
  tell({ workloads: [server], services: [cart] });
  const late = rig.dial(client, '10.0.0.2:8080');
  await settle();
  tell({ workloads: [client] });
  await converses(late);
  tell({ gone: [client] });
  const never = rig.dial(client, '10.0.0.2:8080');
  await settle();
  rig.clock.advance(5_000);
  await isReset(never);
  assert.match(String(rig.access().error), /does not know this workload/);
});

test('B22: the end of one direction is passed on while the other goes on', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  rig.net.at(netnsOf(server)).apps.set(8080, (socket) => {
    const received = receivedBy(socket);
    void until(received.ended).then(() => socket.end(`got ${received.text()}`));
  });
  const socket = rig.dial(client, '10.0.0.2:8080');
  const received = receivedBy(socket);
  socket.end('all of it');
  await until(received.ended);
  assert.equal(received.text(), 'got all of it');
});

test('B49: a carried connection that a new policy denies is cut, another is not', async () => {
  const { rig, tell } = await startTwoNodes();
  const other = aWorkload('other', ['10.0.0.3']);
  await rig.enroll(other);
  tell({ ...MESH, workloads: [...MESH.workloads, other] });
  const [denied, kept] = [receivedBy(rig.dial(client, '10.0.0.2:8080')), receivedBy(rig.dial(other, '10.0.0.2:8080'))];
  await until(() => rig.agent.carried === 2);
  rig.tell({ policies: [aPolicy('deny', principal('client'))] });
  await until(() => denied.error() !== null);
  await settle();
  const line = rig.access();
  assert.deepEqual([line.response_flags, kept.closed(), rig.agent.carried], ['DENY', false, 1]);
  assert.match(String(line.error), /policy change: explicitly denied by shop\/p rule 0/);
});

test('B56: a workload that leaves cuts the connections that the agent carries to it', async () => {
  const { rig, tell } = await startTwoNodes();
  tell(MESH);
  const received = receivedBy(rig.dial(client, '10.0.0.2:8080'));
  await until(() => rig.agent.carried === 1);
  rig.agent.leave(server.uid);
  await until(() => received.error() !== null);
  await settle();
  assert.match(String(rig.access().error), /left the mesh/);
});
