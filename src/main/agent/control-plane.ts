import { decodeJwt } from 'jose';
import type { Agent } from '#node-agent/agent.ts';
import { discoveryNodeOf, type MeshEvents, subscribeMesh } from '#node-agent/follow-mesh.ts';
import { systemClock } from '#platform/clock.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import type { AgentProcessOptions } from './options.ts';

/** Applies the mesh to the agent as the control plane tells it; call start() on the result. */
export async function followMesh(agent: Agent, options: AgentProcessOptions, events: MeshEvents): Promise<DiscoveryClient> {
  const { place, log, control } = options;
  const { sub = '' } = decodeJwt((await control.token()).trim());
  const { onSynced, ...subscription } = subscribeMesh(agent, events);
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: discoveryNodeOf(place.node, control.clusterId, sub),
    waypoint: null,
    clock: systemClock,
    log,
    ...subscription,
  });
  void discovery.synced.then(onSynced);
  return discovery;
}
