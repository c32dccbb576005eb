import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIp } from '#model/address/ip.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { App } from '#node-agent/memory-net.testing.ts';
import { receivedBy, settle, until } from '#node-agent/memory-sockets.testing.ts';
import { client, MESH, remote, server, startTwoNodes } from '#node-agent/two-nodes.testing.ts';

async function setUp() {
  const nodes = await startTwoNodes();
  nodes.tell(MESH);
  const { rig } = nodes;
  let gone = false;
  const leave = (uid: string): void => void rig.agent.lastBytes(uid).then(() => (gone = true));
  return { ...nodes, leave, isGone: () => gone };
}

test('F7: a workload without connections leaves at once', async () => {
  const { leave, isGone } = await setUp();
  leave(client.uid);
  await settle();
  assert.equal(isGone(), true);
});

for (const { name, dialled } of [
  { name: 'through a tunnel', dialled: '10.0.1.2:8080' },
  { name: 'on one node', dialled: '10.0.0.2:8080' },
])
  test(`F7: what a dead process wrote last ${name} arrives before its workload leaves`, async () => {
    const { rig, two, leave, isGone } = await setUp();
    const heard: string[] = [];
    const { promise: isRead, resolve: read } = Promise.withResolvers<void>();
    const app: App = (socket) => {
      socket.pause();
      void isRead.then(() =>
        socket
          .on('data', (bytes: Buffer) => heard.push(String(bytes)))
          .on('end', () => socket.end())
          .resume(),
      );
    };
    for (const one of [server, remote]) (one === remote ? two : rig).net.at(`/netns/${one.name}`).apps.set(8080, app);
    const socket = rig.dial(client, dialled);
    socket.end('last words');
    await settle();
    leave(client.uid);
    await settle();
    assert.deepEqual([heard, isGone()], [[], false]);
    read();
    await until(() => heard.length > 0 && rig.held(client) === 0, 'the last words');
    rig.clock.advance(AGENT.lastBytesLookMs);
    await settle();
    assert.deepEqual([heard.join(''), isGone()], ['last words', true]);
    assert.equal(receivedBy(socket).error(), null);
  });

test('F7: who does not close does not keep a dead workload for longer than three seconds', async () => {
  const { rig, leave, isGone } = await setUp();
  const socket = rig.dial(client, '10.0.1.2:8080');
  const received = receivedBy(socket);
  socket.write('hello');
  await until(() => received.text() === 'hello', 'an answer');
  leave(client.uid);
  for (let ms = 0; ms < 3_000; ms += AGENT.lastBytesLookMs) {
    assert.equal(isGone(), false);
    rig.clock.advance(AGENT.lastBytesLookMs);
    await settle();
  }
  assert.equal(isGone(), true);
  rig.agent.leave(client.uid);
  await until(() => received.error() !== null, 'the cut');
});

test('F7: a connection that the kernel carries is waited for as long as its own end is there; the other end is not', async () => {
  const { rig, leave, isGone } = await setUp();
  const idOf = (uid: string): number => rig.agent.enrollment.get(uid)?.id ?? 0;
  const ends = { source: parseIp('10.0.0.1'), destination: parseIp('10.0.0.2'), sourcePort: 1, destinationPort: 8080 };
  const live = { sourceId: idOf(client.uid), destinationId: idOf(server.uid), generation: rig.agent.generation };
  const { flows } = rig.kernel.maps;
  flows.set(1n, { ...live, flow: { netnsCookie: 1n, ...ends }, inbound: 0 });
  flows.set(2n, { ...live, flow: { netnsCookie: 2n, ...ends }, inbound: 1 });
  leave(client.uid);
  await settle();
  assert.equal(isGone(), false);
  flows.delete(1n);
  rig.clock.advance(AGENT.lastBytesLookMs);
  await settle();
  assert.equal(isGone(), true);
});
