import type { MeshDelta } from '#model/mesh/mesh-state.ts';

const NO_CHANGE: MeshDelta = { workloads: new Map(), services: new Map(), policies: new Map() };

/** The agent, as far as changes of the mesh concern it. */
export type FollowingAgent = { readonly synced: boolean; applyMesh(delta: MeshDelta, complete: boolean): void };

/** What happens around the changes that arrive. */
export type MeshEvents = {
  /** Runs before each change is applied. */
  beforeChange(): void;
  /** A stream to the control plane was opened, the first or a later one. */
  connected(): void;
};

/** What a discovery client calls. */
export type MeshSubscription = {
  onMesh(delta: MeshDelta): void;
  onConnected(): void;
  /** Once, after the last change of the first answer. */
  onSynced(): void;
};

/**
 * Hands the mesh to the agent as the control plane tells it. Before the first sync a change is a part of the mesh: an
 * adopted kernel map must not lose what has only not been told yet. Afterwards every change leaves it whole.
 */
export function subscribeMesh(agent: FollowingAgent, events: MeshEvents): MeshSubscription {
  return {
    onMesh(delta) {
      events.beforeChange();
      agent.applyMesh(delta, agent.synced);
    },
    onConnected: () => events.connected(),
    onSynced: () => agent.applyMesh(NO_CHANGE, true),
  };
}

/** How an agent introduces itself to discovery. */
export type DiscoveryNode = { id: string; metadata: Record<string, string> };

/**
 * The form istiod expects of a node proxy (docs/rules/control-plane.md). `subject` is the `sub` claim of the node's token,
 * `system:serviceaccount:<namespace>:<account>`: the control plane compares it with what is said here.
 */
export function discoveryNodeOf(node: string, clusterId: string, subject: string): DiscoveryNode {
  const [, , namespace = '', serviceAccount = ''] = subject.split(':');
  const metadata = {
    NAME: node,
    NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    NODE_NAME: node,
    CLUSTER_ID: clusterId,
    INSTANCE_IPS: '1.1.1.1',
  };
  return { id: `ztunnel~1.1.1.1~${node}.${namespace}~${namespace}.svc.cluster.local`, metadata };
}
