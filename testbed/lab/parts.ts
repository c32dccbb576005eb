import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { agentClient, controlClient } from '#platform/local-api/clients.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { agentSocketPath, controlSocketPath, logsDirectory, waypointsDirectory } from '#protocol/api/places.ts';
import { CONTROL_ADDRESS, CONTROL_HOST, type LabPlan, type NodeName, nodeOf, OUTSIDE_4 } from '#testbed/nodes/plan.ts';
import type { Child, Spawn } from '#testbed/processes/child.ts';
import { asHost, inNetns, weft } from '#testbed/processes/command-lines.ts';
import { waitStarted, waitUntil } from '#testbed/processes/wait.ts';

const CONTROL_START_MS = 20_000;
const AGENT_START_MS = 30_000;

/** Where the parts of the mesh keep what is theirs, all below the lab's directory. */
export type LabPaths = {
  stateDir: string;
  /** The run directory of agents and control plane: what `weft status --run-dir` takes. */
  meshRunDir: string;
  controlSocket: string;
  rootCertificate: string;
  /** What is kept about waypoints. */
  waypointDir: string;
  /** Directory of their logs. */
  waypointLogs: string;
  agentSocket(node: NodeName): string;
  tokenFile(node: NodeName): string;
  /** One file per app, named after it, holding its process id; for the script `inside`. */
  pidDir: string;
};

/** The paths of a lab. */
export function labPaths(plan: LabPlan): LabPaths {
  const stateDir = join(plan.runDir, 'state');
  const meshRunDir = join(plan.runDir, 'run');
  return {
    stateDir,
    meshRunDir,
    controlSocket: controlSocketPath(meshRunDir),
    rootCertificate: join(stateDir, 'root-cert.pem'),
    waypointDir: waypointsDirectory(meshRunDir),
    waypointLogs: logsDirectory(stateDir),
    agentSocket: (node) => agentSocketPath(meshRunDir, nodeOf(plan, node).meshName),
    tokenFile: (node) => join(plan.runDir, `${node}.token`),
    pidDir: join(plan.runDir, 'pids'),
  };
}

/** Starts the control plane over `configDir` in its namespace; returns when it has its root certificate and its socket. */
export async function startControl(plan: LabPlan, configDir: string, spawn: Spawn): Promise<Child> {
  const paths = labPaths(plan);
  const flags = {
    config: configDir,
    'state-dir': paths.stateDir,
    listen: CONTROL_ADDRESS,
    'server-name': CONTROL_HOST,
    socket: paths.controlSocket,
    'waypoint-agent': paths.agentSocket('alpha'),
    ...(process.env.WEFT_LAB_THREADS ? { 'waypoint-threads': process.env.WEFT_LAB_THREADS } : {}),
  };
  const child = spawn({
    name: 'control',
    command: asHost(plan, inNetns(plan.ctlNetns, weft('control', ...flagsOf(flags)))),
    logPath: join(plan.logDir, 'control.log'),
  });
  await waitStarted(child, 'control plane', CONTROL_START_MS, async () => {
    await access(paths.rootCertificate);
    // A socket left by a control plane that was killed exists before the new one listens on it.
    return (await controlStatus(plan)).pid === child.pid;
  });
  return child;
}

/** Makes the token with which the agent of a node proves its name, and leaves it in the node's token file. */
export async function issueToken(plan: LabPlan, node: NodeName): Promise<void> {
  const paths = labPaths(plan);
  const control = controlClient(paths.controlSocket);
  const { meshName, pool4, pool6 } = nodeOf(plan, node);
  // Every node runs whatever a test likes; the waypoints run on the first one.
  const grant = { identities: ['*/*'], addresses: [pool4, pool6], waypoints: node === 'alpha' };
  const { token } = await waitUntil(`token for ${node}`, CONTROL_START_MS, () => control.token({ node: meshName, ...grant }));
  await writeFile(paths.tokenFile(node), token, { mode: 0o600 });
}

/** Starts the agent of a virtual node in its namespace; the first start and every restart use the same command line. It replaces one that runs. */
export async function startAgent(plan: LabPlan, node: NodeName, spawn: Spawn): Promise<Child> {
  const paths = labPaths(plan);
  const { meshName, netns, cgroup, pool4, pool6 } = nodeOf(plan, node);
  const flags = {
    node: meshName,
    control: CONTROL_ADDRESS,
    'control-root': paths.rootCertificate,
    'token-file': paths.tokenFile(node),
    cgroup,
    'run-dir': paths.meshRunDir,
    bpffs: plan.bpffsMount,
    pool4,
    pool6,
    'dns-upstream': `${OUTSIDE_4}:53`,
    // Every test over a lab can be run with another number of threads that carry.
    ...(process.env.WEFT_LAB_THREADS ? { threads: process.env.WEFT_LAB_THREADS } : {}),
  };
  const child = spawn({
    name: `agent ${node}`,
    command: asHost(plan, inNetns(netns, weft('agent', ...flagsOf(flags), '--no-egress-nat', '--replace'))),
    logPath: join(plan.logDir, `agent-${node}.log`),
  });
  await waitStarted(child, `agent of ${node} that is in contact with the control plane`, AGENT_START_MS, async () => {
    const { pid, controlPlane } = await agentStatus(plan, node);
    if (pid !== child.pid) return false; // the one that is replaced
    if (controlPlane.error !== null) throw new Error(controlPlane.error);
    return controlPlane.connected && controlPlane.syncedAt !== null;
  });
  return child;
}

/** What the agent of a node says of itself. Rejects when it does not answer. */
export function agentStatus(plan: LabPlan, node: NodeName): Promise<AgentStatus> {
  return agentClient(labPaths(plan).agentSocket(node)).status();
}

/** What the control plane says of itself. Rejects when it does not answer. */
export function controlStatus(plan: LabPlan): Promise<ControlStatus> {
  return controlClient(labPaths(plan).controlSocket).status();
}

function flagsOf(flags: Readonly<Record<string, string>>): string[] {
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
}
