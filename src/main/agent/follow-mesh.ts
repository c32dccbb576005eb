import { decodeJwt } from 'jose';
import type { MeshDelta } from '#model/mesh/mesh-state.ts';
import type { Agent } from '#node-agent/agent.ts';
import { systemClock } from '#platform/clock.ts';
import type { ControlEndpoint } from '#platform/grpc/control-channel.ts';
import { DiscoveryClient } from '#platform/grpc/discovery-client.ts';
import type { AgentProcessOptions } from './options.ts';

const NO_CHANGE: MeshDelta = { workloads: new Map(), services: new Map(), policies: new Map() };

/** What happens around the changes that arrive. */
export type MeshEvents = { beforeChange(): void; connected(): void };

/** Applies the mesh to the agent as the control plane tells it; call start() on the result. */
export async function followMesh(agent: Agent, options: AgentProcessOptions, events: MeshEvents): Promise<DiscoveryClient> {
  const { place, log, control } = options;
  const discovery = new DiscoveryClient({
    endpoint: control,
    node: await nodeOf(place.node, control),
    waypoint: null,
    clock: systemClock,
    log,
    onMesh: (delta) => {
      events.beforeChange();
      agent.applyMesh(delta, agent.synced);
    },
    onConnected: () => events.connected(),
  });
  void discovery.synced.then(() => agent.applyMesh(NO_CHANGE, true));
  return discovery;
}

/** The form istiod expects of a node proxy (control-plane-protocols 1.3), with the namespace and account of the token. */
async function nodeOf(node: string, control: ControlEndpoint) {
  const { sub = '' } = decodeJwt((await control.token()).trim());
  const [, , namespace = '', serviceAccount = ''] = sub.split(':');
  const metadata = {
    NAME: node,
    NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    NODE_NAME: node,
    CLUSTER_ID: control.clusterId,
    INSTANCE_IPS: '1.1.1.1',
  };
  return { id: `ztunnel~1.1.1.1~${node}.${namespace}~${namespace}.svc.cluster.local`, metadata };
}
