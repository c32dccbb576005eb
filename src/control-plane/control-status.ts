import type { ControlPlane } from '#control-plane/control-plane.ts';
import type { ConnectionStatus, ControlStatus, NodeStatus, WaypointStatus } from '#protocol/api/control.ts';
import type { WaypointState } from './waypoints/waypoint-controller.ts';

/** What the process knows beyond the control plane itself. */
export type StatusFrame = Pick<ControlStatus, 'pid' | 'startedAt' | 'address' | 'trustDomain' | 'rootNamespace'>;

/** The status page: nodes, clients, waypoints, findings, and in sentences what is out of date. */
export function controlStatus(control: ControlPlane, frame: StatusFrame): ControlStatus {
  const connections = control.discovery.connections();
  const waypoints = (control.waypoints?.states() ?? []).map((state) => waypointStatus(state, connections));
  const nodes = nodeStatuses(control, connections);
  return {
    ...frame,
    resources: control.store.counts(),
    nodes,
    connections,
    waypoints,
    findings: control.findings(),
    conditions: control.conditions(),
    outOfDate: [
      ...connections.flatMap(lag),
      ...nodes.filter(({ connected }) => !connected).map(({ node }) => `node ${node} is not connected`),
      ...waypoints.flatMap(waypointTrouble),
      ...control.problems(),
    ],
  };
}

function nodeStatuses(control: ControlPlane, connections: readonly ConnectionStatus[]): NodeStatus[] {
  const registered = control.registry.nodes();
  const connected = new Set(connections.map(({ node }) => node).filter((node) => node !== ''));
  return [...new Set([...registered.keys(), ...connected])].sort().map((node) => ({
    node,
    connected: connected.has(node),
    registeredWorkloads: registered.get(node)?.length ?? 0,
  }));
}

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

function lag({ node, namespace, serviceAccount, types }: ConnectionStatus): string[] {
  const who = node === '' ? `${namespace}/${serviceAccount}` : `node ${node}`;
  return types.flatMap(({ typeUrl, pending, acknowledged, problem }) => {
    const what = typeUrl.slice(typeUrl.lastIndexOf('/') + 1);
    if (problem !== null) return [`${who} rejected ${what}: ${problem}`];
    if (pending > 0) return [`${who} has ${pending} changes of ${what} still to come`];
    return acknowledged ? [] : [`${who} has not acknowledged the last ${what}`];
  });
}

function waypointTrouble({ namespace, gateway, state, ready, problem }: WaypointStatus): string[] {
  const who = `waypoint ${namespace}/${gateway}`;
  if (problem !== null) return [`${who} does not run: ${problem}`];
  if (state !== 'running') return [`${who} is ${state}`];
  return ready ? [] : [`${who} is not up to date`];
}
