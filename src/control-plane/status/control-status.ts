import type { Finding } from '#control-plane/resources/finding.ts';
import type { WaypointState } from '#control-plane/waypoints/plan.ts';
import type { ConditionStatus, ConnectionStatus, ControlStatus, NodeStatus, WaypointStatus } from '#protocol/api/control.ts';

/** What the process knows beyond the control plane itself. */
export type StatusFrame = Pick<ControlStatus, 'pid' | 'version' | 'startedAt' | 'address' | 'trustDomain' | 'rootNamespace'>;

/** What the rooms of the control plane say of themselves, as the page is made from it. */
export type StatusParts = {
  frame: StatusFrame;
  /** How it stands among other replicas; null: there are none. */
  replica: ControlStatus['replica'];
  /** Resources served, by kind. */
  resources: ControlStatus['resources'];
  connections: readonly ConnectionStatus[];
  /** Node → what is registered there; only the number counts. */
  registered: ReadonlyMap<string, readonly unknown[]>;
  waypoints: readonly WaypointState[];
  findings: readonly Finding[];
  conditions: readonly ConditionStatus[];
  rivals: ControlStatus['rivals'];
  /** What could not be kept for the next start, one sentence each. */
  problems: readonly string[];
};

/** The status page: nodes, clients, waypoints, findings, and in sentences what is out of date. */
export function controlStatus(parts: StatusParts): ControlStatus {
  const { frame, resources, connections, findings, conditions, problems } = parts;
  const waypoints = parts.waypoints.map((state) => waypointStatus(state, connections));
  const nodes = nodeStatuses(parts.registered, connections);
  return {
    ...frame,
    replica: parts.replica,
    resources,
    nodes,
    connections: [...connections],
    waypoints,
    findings: [...findings],
    conditions: [...conditions],
    rivals: parts.rivals,
    outOfDate: [
      ...connections.flatMap(lag),
      ...nodes.filter(({ connected }) => !connected).map(({ node }) => `node ${node} is not connected`),
      ...waypoints.flatMap(waypointTrouble),
      ...replicaTrouble(parts.replica),
      ...problems,
    ],
  };
}

function replicaTrouble(replica: ControlStatus['replica']): string[] {
  return replica !== null && replica.leader === null ? ['no control plane leads: nothing can be registered until one does'] : [];
}

function nodeStatuses(
  registered: ReadonlyMap<string, readonly unknown[]>,
  connections: readonly ConnectionStatus[],
): NodeStatus[] {
  // Waypoints speak for no node; a node is listed when it registered workloads or its agent is connected.
  const connected = new Set(connections.map(({ node }) => node).filter((node) => node !== ''));
  return [...new Set([...registered.keys(), ...connected])].sort().map((node) => ({
    node,
    connected: connected.has(node),
    registeredWorkloads: registered.get(node)?.length ?? 0,
  }));
}

/** A waypoint is ready when a client of its identity follows discovery and has everything: no process tells that of itself. */
function waypointStatus(
  { spec, state, restarts, problem }: WaypointState,
  connections: readonly ConnectionStatus[],
): WaypointStatus {
  const { namespace, name, serviceAccount } = spec;
  const ready = connections.some(
    (connection) =>
      connection.node === '' &&
      connection.namespace === namespace &&
      connection.serviceAccount === serviceAccount &&
      connection.upToDate,
  );
  return { namespace, gateway: name, state, ready, restarts, problem };
}

/** What a client does not have yet, or would not take. Whoever has everything is passed over. */
function lag({ node, namespace, serviceAccount, types }: ConnectionStatus): string[] {
  const who = node === '' ? `${namespace}/${serviceAccount}` : `node ${node}`;
  return types.flatMap(({ typeUrl, pending, acknowledged, problem }) => {
    // `type.googleapis.com/istio.workload.Address`: what stands before the slash says nothing to a reader.
    const what = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
    if (problem !== null) return [`${who} rejected ${what}: ${problem}`];
    if (pending > 0) return [`${who} has ${pending} changes of ${what} still to come`];
    return acknowledged ? [] : [`${who} has not acknowledged the last ${what}`];
  });
}

/** One sentence, the deepest cause first: one that does not run cannot be up to date either. */
function waypointTrouble({ namespace, gateway, state, ready, problem }: WaypointStatus): string[] {
  const who = `waypoint ${namespace}/${gateway}`;
  if (problem !== null) return [`${who} does not run: ${problem}`];
  if (state !== 'running') return [`${who} is ${state}`];
  return ready ? [] : [`${who} is not up to date`];
}
