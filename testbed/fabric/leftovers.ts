import { access, readdir } from 'node:fs/promises';
import { cgroupTree } from './cgroups.ts';
import { mountsBelow } from './mounts.ts';
import type { FabricPlan } from './plan.ts';
import { runIdOf } from './plan.ts';

/** Where iproute2 keeps the names of network namespaces. */
export const NETNS_DIR = '/run/netns';

/** What still exists of a run, as short descriptions; its logs do not count. Empty: nothing. */
export async function fabricLeftovers(plan: FabricPlan): Promise<string[]> {
  const namespaces = await namespacesOfRun(plan.runId);
  const mounts = await mountsBelow(plan.runDir);
  const directory = await access(plan.runDir).then(
    () => [plan.runDir],
    () => [],
  );
  return [
    ...namespaces.map((netns) => `namespace ${netns}`),
    ...(await cgroupTree(plan.cgroupRoot)).map((path) => `cgroup ${path}`),
    ...mounts.map((path) => `mount ${path}`),
    ...directory.map((path) => `directory ${path}`),
  ];
}

/** Network namespaces that bear the name of a run or of one of its nodes. */
export async function namespacesOfRun(runId: string): Promise<string[]> {
  return (await readdir(NETNS_DIR).catch(() => [])).filter((netns) => runIdOf(netns) === runId);
}
