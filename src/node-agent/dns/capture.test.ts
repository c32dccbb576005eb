import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DecodedPacket, decode, encode, RECURSION_DESIRED } from 'dns-packet';
import { parseIp } from '#model/address/ip.ts';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type AgentRig, netnsOf, startAgentRig } from '#node-agent/agent-rig.testing.ts';
import { deliver } from '#node-agent/memory-net.testing.ts';
import { until } from '#node-agent/memory-sockets.testing.ts';
import { frameMessage } from '#protocol/dns/frame.ts';

const cart = aService('cart', ['240.0.0.1']);
const client = aWorkload('client', ['10.0.0.1']);
const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
const APP = { ip: parseIp('10.0.0.1'), port: 41_000 };

const query = (name: string, id = 7): Buffer =>
  encode({ type: 'query', id, flags: RECURSION_DESIRED, questions: [{ type: 'A', name, class: 'IN' }] });

function answersOf(reply: Uint8Array | null): { rcode: unknown; data: unknown[] } {
  const packet: DecodedPacket = decode(Buffer.from(reply ?? assert.fail('no reply')));
  return {
    rcode: Reflect.get(packet, 'rcode'),
    data: (packet.answers ?? []).flatMap((one) => ('data' in one ? [one.data] : [])),
  };
}

async function setUp(): Promise<AgentRig> {
  const rig = startAgentRig();
  await rig.enroll(client);
  rig.tell({ workloads: [client, server], services: [cart] });
  return rig;
}

/** As the datagram hook: a query to any nameserver arrives at the agent's port of the same namespace. */
function ask(rig: AgentRig, name: string): Promise<Buffer | null> {
  const handler = rig.net.at(netnsOf(client)).datagrams.get(15_053) ?? assert.fail('nobody answers DNS');
  return handler(query(name), APP);
}

const names = ['cart', 'cart.shop', 'cart.shop.svc', 'cart.shop.svc.cluster.local'];
for (const name of names) {
  test(`B61: a captured query for ${name} is answered with the VIP, for the namespace of the workload`, async () => {
    assert.deepEqual(answersOf(await ask(await setUp(), name)), { rcode: 'NOERROR', data: ['240.0.0.1'] });
  });
}

test('a name of another namespace is not found by its short form', async () => {
  const rig = startAgentRig();
  await rig.enroll(client, { namespace: 'web' });
  rig.tell({ workloads: [{ ...client, namespace: 'web' }], services: [cart] });
  assert.equal(answersOf(await ask(rig, 'cart')).rcode, 'SERVFAIL', 'it is forwarded, and this test has no nameserver');
  assert.deepEqual(answersOf(await ask(rig, 'cart.shop')).data, ['240.0.0.1']);
});

test('an answer follows the mesh as it is now', async () => {
  const rig = await setUp();
  rig.tell({ services: [aService('cart', ['240.0.0.2'])] });
  assert.deepEqual(answersOf(await ask(rig, 'cart')).data, ['240.0.0.2']);
});

test('a query of a workload that has left is refused, not answered for nobody', async () => {
  const rig = await setUp();
  const handler = rig.net.at(netnsOf(client)).datagrams.get(15_053) ?? assert.fail('nobody answers DNS');
  rig.agent.leave(client.uid);
  assert.equal(answersOf(await handler(query('cart'), APP)).rcode, 'SERVFAIL');
});

test('queries over TCP are answered on the same port, one connection for several', async () => {
  const rig = await setUp();
  const listener = rig.net.at(netnsOf(client)).listeners.get(15_053)?.at(-1) ?? assert.fail('nobody listens');
  const socket = deliver(APP, { ...APP, port: 15_053 }, listener.accept);
  const chunks: Buffer[] = [];
  socket.on('error', () => {}); // an agent that stops resets it
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.write(Buffer.concat([frameMessage(query('cart', 1)), frameMessage(query('cart.shop', 2))]));
  const bytes = (): Buffer => Buffer.concat(chunks);
  await until(() => bytes().length > 0 && bytes().length >= 2 * (2 + bytes().readUInt16BE(0)));
  const length = bytes().readUInt16BE(0);
  assert.deepEqual(answersOf(bytes().subarray(2, 2 + length)).data, ['240.0.0.1']);
  rig.agent.stop();
  await until(() => socket.destroyed || socket.readableEnded);
});
