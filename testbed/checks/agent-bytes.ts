import { readFile } from 'node:fs/promises';
import type { NodeName } from '#testbed/fabric/plan.ts';
import { agentStatus } from '#testbed/mesh/agent.ts';
import type { DemoMesh } from '#testbed/mesh/demo-mesh.ts';
import { ioBytes } from '#testbed/observe/process-io.ts';
import { expect } from './check.ts';

/** What an agent may read and write meanwhile on its own account: logs, heartbeats, a configuration push. */
const OWN_BYTES_MAX = 2 * 1024 * 1024;

/** The agent's process id, checked against the kernel: it must run `weft agent` for that node. */
export async function agentPid(mesh: DemoMesh, node: NodeName): Promise<number> {
  const { pid } = await agentStatus(mesh.plan, node);
  const commandLine = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
  expect(
    commandLine.includes('agent') && commandLine.includes(mesh.plan.nodes[node].meshName),
    `process ${pid} is not the agent of ${node}`,
  );
  return pid;
}

/**
 * Runs a transfer of `bytes` and checks by the kernel's accounts that the agents moved none of it.
 * Returns the result and how many bytes both agents moved meanwhile.
 */
export async function withoutAgents<Result>(
  mesh: DemoMesh,
  bytes: number,
  transfer: () => Promise<Result>,
): Promise<{ result: Result; agentBytes: number }> {
  const pids = [await agentPid(mesh, 'alpha'), await agentPid(mesh, 'beta')];
  const moved = async (): Promise<number> => (await Promise.all(pids.map(ioBytes))).reduce((sum, one) => sum + one, 0);
  const before = await moved();
  const result = await transfer();
  const agentBytes = (await moved()) - before;
  expect(agentBytes < Math.min(OWN_BYTES_MAX, bytes / 4), `the agents moved ${agentBytes} bytes during a transfer of ${bytes}`);
  return { result, agentBytes };
}
