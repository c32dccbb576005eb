import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import { type Service, waypointsOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { Answers } from '#protocol/xds/client-session.ts';

const NO_CHANGE: MeshDelta = { workloads: new Map(), services: new Map(), policies: new Map() };

/** The agent, as far as changes of the mesh concern it. */
export type FollowingAgent = {
  readonly synced: boolean;
  applyMesh(delta: MeshDelta, complete: boolean): void;
  /** Applies a change that arrived, with what it answers of the names that were asked for. */
  hear(delta: MeshDelta, answers: Answers): void;
  /** Resolves when what was applied is in force also in the threads that carry. */
  settled(): Promise<void>;
};

/** What happens around the changes that arrive. */
export type MeshEvents = {
  /** Runs before each change is applied. */
  beforeChange(): void;
  /** A stream to the control plane was opened, the first or a later one. */
  connected(): void;
};

/** What a discovery client calls. */
export type MeshSubscription = {
  /** Resolves when the change is in force everywhere in this process. */
  onMesh(delta: MeshDelta, answers: Answers): Promise<void>;
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
    onMesh(delta, answers) {
      events.beforeChange();
      agent.hear(delta, answers);
      return agent.settled();
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

/** Whether a change of the mesh can make a verdict wrong, or a way that was decided before it. Policies always can. */
export function changesDecisions(mesh: MeshState, { policies, services, workloads }: MeshDelta): boolean {
  return (
    policies.size > 0 ||
    [...services].some(([key, next]) => isBoundOtherwise(mesh.service(key), next)) ||
    [...workloads].some(([uid, next]) => decidesOtherwise(mesh.workload(uid), next))
  );
}

/** A new one cannot, it has no verdicts yet. */
function decidesOtherwise(before: Workload | null, after: Workload | null): boolean {
  if (before === null || after === null) return false;
  return (
    before.namespace !== after.namespace ||
    before.serviceAccount !== after.serviceAccount ||
    before.trustDomain !== after.trustDomain ||
    before.authorizationPolicies.join() !== after.authorizationPolicies.join() ||
    (before.addresses.join() !== after.addresses.join() && !isByName(before, after)) ||
    isBoundOtherwise(before, after)
  );
}

/** Of what is told by name only the addresses change, and there are no verdicts about who is outside. */
function isByName(before: Workload, after: Workload): boolean {
  return [before, after].every(({ hostname, tunnelProtocol }) => hostname !== '' && tunnelProtocol === 'none');
}

/** A connection that was decided before its destination was bound to a waypoint would go around that. */
function isBoundOtherwise(before: Bindable | null, after: Bindable | null): boolean {
  if (before === null || after === null) return false;
  return JSON.stringify(waypointsOf(before)) !== JSON.stringify(waypointsOf(after));
}

type Bindable = Pick<Service, 'waypoint' | 'canary'>;
