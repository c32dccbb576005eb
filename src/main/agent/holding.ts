import { readlinkSync } from 'node:fs';
import type { AgentPlace } from '#cli/agent.ts';
import type { Holding } from '#model/instance/holding.ts';
import { bridgeName } from '#node-agent/enrollment/local-run/sandbox-names.ts';
import { nodePaths } from '#node-agent/node-places.ts';
import { realPlace } from '#platform/files/marked-directory.ts';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';

/** What the agent of a place takes of this machine. In a file of its own: who only asks need not load an agent. */
export async function holdingOf(place: AgentPlace): Promise<Holding> {
  const { cgroup } = await nodePaths(place, findCgroup2);
  const { node, runDir, bpffs, pool4, pool6 } = place;
  const bridge = bridgeName(node);
  const netns = readlinkSync('/proc/self/ns/net');
  return { node, pid: process.pid, runDir: realPlace(runDir), bpffs: realPlace(bpffs), cgroup, bridge, pool4, pool6, netns };
}
