import assert from 'node:assert/strict';
import { aService, aWorkload, endpointOf } from '#model/mesh/mesh-fixtures.testing.ts';
import { type AgentRig, netnsOf, startAgentRig } from './agent-rig.testing.ts';
import { ECHO } from './memory-net.testing.ts';
import { type MemorySocket, receivedBy, settle, until } from './memory-sockets.testing.ts';

/** `cart:80` → 8080 of `server` and `remote`. */
export const cart = aService('cart', ['240.0.0.1']);
/** On node one, dual-stack. */
export const client = aWorkload('client', ['10.0.0.1', 'fd00::1']);
/** On node one. */
export const server = aWorkload('server', ['10.0.0.2'], { services: endpointOf(cart) });
/** On node two. */
export const remote = aWorkload('remote', ['10.0.1.2'], { node: 'two', services: endpointOf(cart) });

/** `tell` speaks to both agents. */
export type TwoNodes = { rig: AgentRig; two: AgentRig; tell: AgentRig['tell'] };

/** A node with `client` and `server`, and another, with an agent of its own, that has `remote`. */
export async function startTwoNodes(isApart = false): Promise<TwoNodes> {
  const rig = startAgentRig({ isApart });
  const two = startAgentRig({ node: 'two', net: rig.net, clock: rig.clock, isApart });
  await rig.enroll(client);
  await rig.enroll(server);
  await two.enroll(remote);
  for (const one of [server, remote]) rig.net.at(netnsOf(one)).apps.set(8080, ECHO);
  const tell: AgentRig['tell'] = (change, complete) => {
    for (const agent of [rig, two]) agent.tell(change, complete);
  };
  return { rig, two, tell };
}

/** All of it. */
export const MESH = { workloads: [client, server, remote], services: [cart] };

/** Says hello, waits for the echo, ends. */
export async function converses(socket: MemorySocket): Promise<void> {
  const received = receivedBy(socket);
  socket.end('hello');
  await until(() => received.ended() || received.error() !== null, 'an end of the conversation');
  assert.deepEqual([received.text(), received.error()], ['hello', null]);
  await settle();
}

/** The app sees a reset, never a silent end. */
export async function isReset(socket: MemorySocket): Promise<void> {
  const received = receivedBy(socket);
  await until(() => received.error() !== null, 'a reset');
  assert.deepEqual([received.error(), received.text()], ['ECONNRESET', '']);
  await settle();
}
