import { access, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { ControlStatus } from '#protocol/api/control.ts';
import { CONTROL_HOST, CONTROL_PORT, type LabPlan, type NodeName, nodeOf, OUTSIDE_4 } from '#testbed/nodes/plan.ts';
import type { Child, Spawn } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { asHost, inNetns, weft } from '#testbed/processes/command-lines.ts';
import { waitStarted, waitUntil } from '#testbed/processes/wait.ts';

const CONTROL_START_MS = 20_000;
const AGENT_START_MS = 30_000;
const STATUS_WAIT_MS = 5_000;

/** Where the parts of the mesh keep what is theirs, all below the lab's directory. */
export type LabPaths = {
  stateDir: string;
  /** The run directory of agents and control plane: what `weft status --run-dir` takes. */
  meshRunDir: string;
  controlSocket: string;
  rootCertificate: string;
  /** Logs and more of the waypoints. */
  waypointDir: string;
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
    controlSocket: join(meshRunDir, 'control.sock'),
    rootCertificate: join(stateDir, 'root-cert.pem'),
    waypointDir: join(meshRunDir, 'waypoints'),
    agentSocket: (node) => join(meshRunDir, nodeOf(plan, node).meshName, 'agent.sock'),
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
    listen: `${CONTROL_HOST}:${CONTROL_PORT}`,
    'server-name': CONTROL_HOST,
    socket: paths.controlSocket,
    'waypoint-agent': paths.agentSocket('alpha'),
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
  const line = weft('token', '--node', nodeOf(plan, node).meshName, '--socket', paths.controlSocket);
  const token = await waitUntil(`token for ${node}`, CONTROL_START_MS, () => command(line));
  await writeFile(paths.tokenFile(node), token, { mode: 0o600 });
}

/** Starts the agent of a virtual node in its namespace; the first start and every restart use the same command line. */
export async function startAgent(plan: LabPlan, node: NodeName, spawn: Spawn): Promise<Child> {
  const paths = labPaths(plan);
  const { meshName, netns, cgroup, pool4, pool6 } = nodeOf(plan, node);
  const flags = {
    node: meshName,
    control: `${CONTROL_HOST}:${CONTROL_PORT}`,
    'control-root': paths.rootCertificate,
    'token-file': paths.tokenFile(node),
    cgroup,
    'run-dir': paths.meshRunDir,
    bpffs: plan.bpffsMount,
    pool4,
    pool6,
    'dns-upstream': `${OUTSIDE_4}:53`,
  };
  const child = spawn({
    name: `agent ${node}`,
    command: asHost(plan, inNetns(netns, weft('agent', ...flagsOf(flags), '--no-egress-nat'))),
    logPath: join(plan.logDir, `agent-${node}.log`),
  });
  await waitStarted(child, `agent of ${node} that is in contact with the control plane`, AGENT_START_MS, async () => {
    const { controlPlane } = await agentStatus(plan, node);
    if (controlPlane.error !== null) throw new Error(controlPlane.error);
    return controlPlane.connected && controlPlane.syncedAt !== null;
  });
  return child;
}

/** What the agent of a node says of itself. Rejects when it does not answer. */
export async function agentStatus(plan: LabPlan, node: NodeName): Promise<AgentStatus> {
  return (await askStatus(labPaths(plan).agentSocket(node))) as AgentStatus;
}

/** What the control plane says of itself. Rejects when it does not answer. */
export async function controlStatus(plan: LabPlan): Promise<ControlStatus> {
  return (await askStatus(labPaths(plan).controlSocket)) as ControlStatus;
}

function flagsOf(flags: Readonly<Record<string, string>>): string[] {
  return Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
}

/** The answer to GET /v1/status, which both local APIs have. */
function askStatus(socketPath: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: '/v1/status', signal: AbortSignal.timeout(STATUS_WAIT_MS) }, (answer) => {
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part)).on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (answer.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${socketPath} answers ${answer.statusCode}: ${text}`));
      });
    });
    asked.on('error', reject).end();
  });
}
