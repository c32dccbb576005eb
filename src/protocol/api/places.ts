import { join } from 'node:path';

/** Below the run directory: what is kept about waypoints; every other folder there is a node's. */
export const WAYPOINTS_NAME = 'waypoints';

/** Socket of the agent of `node`. */
export function agentSocketPath(runDir: string, node: string): string {
  return join(runDir, node, 'agent.sock');
}

/** The lock of the process that keeps the mesh of `node` up. */
export function upLockPath(runDir: string, node: string): string {
  return join(runDir, node, 'up.lock');
}

/** Socket of the control plane that runs on this machine. */
export function controlSocketPath(runDir: string): string {
  return join(runDir, 'control.sock');
}

/** Socket behind which waypoints of this machine find discovery: in their own directory, as they see nothing else here. */
export function discoverySocketPath(runDir: string): string {
  return join(waypointsDirectory(runDir), 'discovery.sock');
}

/** What is kept about the waypoints that run on this machine. */
export function waypointsDirectory(runDir: string): string {
  return join(runDir, WAYPOINTS_NAME);
}

/** Where logs are kept: with the state, not below /run, which is memory. */
export function logsDirectory(stateDir: string): string {
  return join(stateDir, 'logs');
}

/** The log of a waypoint, by the namespace and name of its Gateway. */
export function waypointLogPath(stateDir: string, { namespace, name }: { namespace: string; name: string }): string {
  return join(logsDirectory(stateDir), `${WAYPOINT_LOG}${namespace}.${name}.log`);
}

/** What the names of those files begin with. */
export const WAYPOINT_LOG = 'waypoint-';

/** The log of a workload that runs in the background; names of namespaces and workloads have no dot. */
export function workloadLogPath(
  stateDir: string,
  { namespace, name, node }: { namespace: string; name: string; node: string },
): string {
  return join(logsDirectory(stateDir), `workload-${namespace}.${name}@${node}.log`);
}

/** Socket of a waypoint, by which the level of its log is changed. */
export function waypointSocketPath(directory: string, namespace: string, gateway: string): string {
  return join(directory, `${namespace}.${gateway}.sock`);
}

/** The control plane's root certificate, for the waypoints of its machine. */
export function waypointRootPath(runDir: string): string {
  return join(waypointsDirectory(runDir), 'root-cert.pem');
}
