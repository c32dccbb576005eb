import { join } from 'node:path';
import type { AgentPlace } from '#cli/agent.ts';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';

/** What `agentPaths` found for a place. */
export type AgentPaths = { nodeDir: string; socket: string; pinDir: string; cgroup: string; workloads: string };

/** Every file and directory an agent of this place owns. Errors: WEFT_CGROUP2 without a cgroup v2 mount. */
export async function agentPaths(place: AgentPlace): Promise<AgentPaths> {
  const nodeDir = join(place.runDir, place.node);
  return {
    nodeDir,
    socket: join(nodeDir, 'agent.sock'),
    pinDir: join(place.bpffs, 'weft', place.node),
    cgroup: place.cgroup ?? join(await findCgroup2(), 'weft', place.node),
    workloads: join(nodeDir, 'workloads.json'),
  };
}

/** Directory of the compiled eBPF objects, made by scripts/setup. */
export const OBJECTS_DIR = new URL('../../../build/bpf', import.meta.url).pathname;
