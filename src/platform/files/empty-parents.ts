import { rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { readMachineFacts } from '#platform/preflight/facts.ts';

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
