import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child, Spawn } from '#testbed/child.ts';
import { command } from '#testbed/command.ts';
import type { FabricPlan, NodeName } from '#testbed/fabric/plan.ts';
import { CONTROL_HOST, CONTROL_PORT } from '#testbed/fabric/plan.ts';
import { asHost, inNetns } from '#testbed/placement.ts';
import { waitUntil } from '#testbed/wait.ts';
import { weft } from '#testbed/weft-command.ts';
import { meshPaths } from './paths.ts';
import { waitStarted } from './wait-started.ts';

const START_TIMEOUT_MS = 20_000;

/** Starts the control plane in its namespace and waits until it has its root certificate and its socket. */
export async function startControl(plan: FabricPlan, spawn: Spawn): Promise<Child> {
  const paths = meshPaths(plan);
  const line = weft(
    'control',
    '--config',
    paths.configDir,
    '--state-dir',
    paths.stateDir,
    '--listen',
    `${CONTROL_HOST}:${CONTROL_PORT}`,
    '--server-name',
    CONTROL_HOST,
    '--socket',
    paths.controlSocket,
    '--waypoint-agent',
    paths.agentSocket('alpha'),
  );
  const child = spawn({
    name: 'control',
    command: asHost(plan, inNetns(plan.ctlNetns, line)),
    logPath: join(plan.logDir, 'control.log'),
  });
  await waitStarted(child, 'control plane', START_TIMEOUT_MS, async () => {
    await access(paths.rootCertificate);
    await access(paths.controlSocket);
    return true;
  });
  return child;
}

/** Makes the token with which the agent of a node proves its name, and leaves it in the node's token file. */
export async function issueToken(plan: FabricPlan, node: NodeName): Promise<void> {
  const paths = meshPaths(plan);
  const line = weft('token', '--node', plan.nodes[node].meshName, '--socket', paths.controlSocket);
  // A socket left by a control plane that was killed exists before the new one listens on it.
  const token = await waitUntil(`token for ${node}`, START_TIMEOUT_MS, () => command(line));
  await writeFile(paths.tokenFile(node), token, { mode: 0o600 });
}
