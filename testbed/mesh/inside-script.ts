import { dirname } from 'node:path';
import type { FabricPlan } from '#testbed/fabric/plan.ts';
import { meshPaths } from './paths.ts';

/**
 * A shell script that runs a command where an app of the demo runs: its cgroup (which decides the identity),
 * its network namespace and its mount namespace (which has the mesh's resolv.conf).
 */
export function insideScript(plan: FabricPlan): string {
  const { pidDir } = meshPaths(plan);
  return `#!/bin/sh
# inside NAME COMMAND…: runs a command as if it were the app NAME of this demo.
set -eu
if [ $# -lt 2 ] || [ ! -e "${pidDir}/$1" ]; then
  echo "usage: $0 NAME COMMAND…, where NAME is one of:" $(ls "${pidDir}") >&2
  exit 2
fi
pid=$(cat "${pidDir}/$1")
shift
echo $$ > "${dirname(plan.cgroupRoot)}$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/cgroup.procs"
exec nsenter --target "$pid" --net --mount -- "$@"
`;
}
