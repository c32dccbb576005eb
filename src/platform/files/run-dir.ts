import { existsSync, readdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { readMachineFacts } from '#platform/preflight/facts.ts';
import { agentSocketPath, WAYPOINTS_NAME } from '#protocol/api/places.ts';

/** Where one node keeps its sockets, named after it. */
export type NodePlace = { node: string; directory: string; socketPath: string; socketExists: boolean };

/** Every node that runs, or ran and left something, below `runDir`; sorted by name. Errors: WEFT_NOT_ROOT. */
export function nodesBelow(runDir: string): NodePlace[] {
  return entriesOf(runDir)
    .map((node) => {
      const socketPath = agentSocketPath(runDir, node);
      return { node, directory: join(runDir, node), socketPath, socketExists: existsSync(socketPath) };
    })
    .filter(({ node, socketExists }) => socketExists || node !== WAYPOINTS_NAME)
    .sort((a, b) => (a.node < b.node ? -1 : 1));
}

function entriesOf(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    if (code !== 'EACCES' && code !== 'EPERM') throw cause;
    throw new WeftError('WEFT_NOT_ROOT', `you may not read ${directory}`, { cause, remedy: 'run the same command with sudo' });
  }
}

/** Agents below `runDir` that have a socket; sorted by name. Errors: WEFT_NOT_ROOT. */
export function agentsBelow(runDir: string): NodePlace[] {
  return nodesBelow(runDir).filter(({ socketExists }) => socketExists);
}

/** Removes the directories that hold those of nodes in the bpf and cgroup file systems, when the last node has left. */
export function removeEmptyParents(bpffs: string): void {
  for (const mount of [bpffs, ...readMachineFacts().cgroup2Mounts]) removeIfEmpty(join(mount, 'weft'));
}

/** Whether the directory was there, was empty, and is gone now. */
export function removeIfEmpty(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch {
    return false; // not there, or something else lives in it
  }
}
