import { existsSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { AgentPlace } from '#cli/agent.ts';
import type { Log } from '#model/effects/log.ts';
import { AGENT } from '#model/settings/agents.ts';
import { cleanNode, type NodePaths, type NodeRemoval, nodePaths, startsWorkloads } from '#node-agent/node-places.ts';
import { isBpffs, releaseBpffs } from '#platform/bpf/bpffs.ts';
import { removePins } from '#platform/bpf/pins.ts';
import { adoptDirectory, removeMarked } from '#platform/files/marked-directory.ts';
import { findCgroup2 } from '#platform/linux/cgroup/cgroup.ts';
import type { Sandboxes } from '#platform/linux/sandbox/sandboxes.ts';
import { openSandboxes } from './local-run.ts';

/** Removes every trace of a node's agent, running or dead: programs, pins, namespaces, cgroups, files. */
export async function cleanupNode(place: AgentPlace, log: Log): Promise<void> {
  const paths = await nodePaths(place, findCgroup2);
  adoptDirectory(paths.nodeDir, { kind: 'node', node: place.node });
  await cleanNode(place, paths, {
    ...REMOVAL,
    removeSandboxes: async () => {
      if (startsWorkloads(place)) await sandboxesOf(place, paths, log).removeNode(AGENT.stopGraceMs); // pods go on
    },
  });
}

function sandboxesOf(place: AgentPlace, paths: NodePaths, log: Log): Sandboxes {
  return openSandboxes({ place, paths, clusterDomain: 'cluster.local', noNatFor: null, log });
}

/** How traces leave this machine; which ones, and in which order, the node agent decides. */
const REMOVAL: Omit<NodeRemoval, 'removeSandboxes'> = {
  // Elsewhere than in a bpf file system there are no pins, and whatever has their name is somebody else's.
  removePins: (pinDir) => isBpffs(dirname(dirname(pinDir))) && removePins(pinDir),
  removeNodeDir: (directory) => removeMarked(directory, 'node'),
  removeIfEmpty(directory) {
    try {
      rmdirSync(directory);
    } catch {
      // it holds something, or it never was
    }
  },
  textOf: (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
  removeFile: (file) => rmSync(file),
  releaseBpffs,
  isBpffs,
};
