import { readFileSync } from 'node:fs';
import { cgroup2MountIn } from '#platform/linux/cgroup/cgroup.ts';

/** Where this machine has the cgroup tree of version 2. */
export function cgroupTree(): string {
  const mountPoint = cgroup2MountIn(readFileSync('/proc/self/mountinfo', 'utf8'));
  if (mountPoint === null) throw new Error('cgroup v2 is not mounted');
  return mountPoint;
}
