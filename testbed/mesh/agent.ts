import { join } from 'node:path';
import { agentClient } from '#main/commands/agent-client.ts';
import type { AgentStatus } from '#protocol/api/agent.ts';
import type { Child, Spawn } from '#testbed/child.ts';
import type { FabricPlan, NodeName } from '#testbed/fabric/plan.ts';
import { CONTROL_HOST, CONTROL_PORT, OUTSIDE_4 } from '#testbed/fabric/plan.ts';
import { asHost, inNetns } from '#testbed/placement.ts';
import { weft } from '#testbed/weft-command.ts';
import { meshPaths } from './paths.ts';
import { waitStarted } from './wait-started.ts';

const START_TIMEOUT_MS = 30_000;

/** Starts the agent of a virtual node in its namespace; the first start and every restart use the same command line. */
export async function startAgent(plan: FabricPlan, node: NodeName, spawn: Spawn): Promise<Child> {
  const paths = meshPaths(plan);
  const { meshName, netns, cgroup, pool4, pool6 } = plan.nodes[node];
  const line = weft(
    'agent',
    '--node',
    meshName,
    '--control',
    `${CONTROL_HOST}:${CONTROL_PORT}`,
    '--control-root',
    paths.rootCertificate,
    '--token-file',
    paths.tokenFile(node),
    '--cgroup',
    cgroup,
    '--run-dir',
    paths.meshRunDir,
    '--bpffs',
    plan.bpffsMount,
    '--pool4',
    pool4,
    '--pool6',
    pool6,
    '--dns-upstream',
    `${OUTSIDE_4}:53`,
    '--no-egress-nat',
  );
  const child = spawn({
    name: `agent ${node}`,
    command: asHost(plan, inNetns(netns, line)),
    logPath: join(plan.logDir, `agent-${node}.log`),
  });
  await waitStarted(child, `agent of ${node} that is in contact with the control plane`, START_TIMEOUT_MS, async () => {
    const { controlPlane } = await agentStatus(plan, node);
    if (controlPlane.error !== null) throw new Error(controlPlane.error);
    return controlPlane.connected && controlPlane.syncedAt !== null;
  });
  return child;
}

/** What the agent of a node says of itself. Errors: those of the agent's socket. */
export function agentStatus(plan: FabricPlan, node: NodeName): Promise<AgentStatus> {
  return agentClient(meshPaths(plan).agentSocket(node)).status();
}
