import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type LabPlan, type NodeName, OUTSIDE_4, OUTSIDE_6, OUTSIDE_NAME } from '#testbed/nodes/plan.ts';
import type { Child, Spawn } from '#testbed/processes/child.ts';
import { command } from '#testbed/processes/command.ts';
import { asHost, inNetns, inNetnsOf, testbedProgram, weft } from '#testbed/processes/command-lines.ts';
import { processBelow } from '#testbed/processes/process-table.ts';
import { endedEarly, within } from '#testbed/processes/wait.ts';
import { labPaths } from './parts.ts';

const START_TIMEOUT_MS = 40_000;

/** A family of IP addresses. */
export type Family = 4 | 6;
/** Both, for checks that try each. */
export const FAMILIES = [4, 6] as const;

/** One process to run as a workload. */
export type WorkloadSpec = {
  name: string;
  node: NodeName;
  namespace: string;
  serviceAccount: string;
  labels: Record<string, string>;
  /** A user of this machine other than root. */
  user?: string;
  command: string[];
};

/** A running program of a lab that said it is ready: a workload, or a host outside the mesh. */
export type App = {
  name: string;
  child: Child;
  /** Process id of the program itself, as the machine counts: a workload counts in a namespace of its own. */
  pid: number;
  /** Its addresses, read from the kernel in its own network namespace. */
  address: Record<Family, string>;
};

/** Runs a workload through `weft run` and waits until its program says that it listens. */
export function startWorkload(plan: LabPlan, spec: WorkloadSpec, spawn: Spawn): Promise<App> {
  const labels = Object.entries(spec.labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  const identity = ['--name', spec.name, '--service-account', spec.serviceAccount, '--namespace', spec.namespace];
  const socket = ['--agent-socket', labPaths(plan).agentSocket(spec.node)];
  const user = ['--user', spec.user ?? 'root'];
  const line = weft('run', ...identity, ...user, ...labels, ...socket, '--', ...spec.command);
  return startApp(plan, spec.name, asHost(plan, line), spawn);
}

/** Starts the resolver on the host outside, which the agents ask for names that are not in the mesh. */
export function startResolver(plan: LabPlan, spawn: Spawn): Promise<App> {
  const program = testbedProgram('dns-server', OUTSIDE_4, '53', OUTSIDE_NAME, OUTSIDE_4, OUTSIDE_6);
  return startApp(plan, 'outside-dns', asHost(plan, inNetns(plan.outsideNetns, program)), spawn);
}

/** Runs a command line and waits until it announces a program that listens. Errors: WEFT_TESTBED_APP, WEFT_TESTBED_TIMEOUT. */
export async function startApp(plan: LabPlan, name: string, line: readonly string[], spawn: Spawn): Promise<App> {
  const child = spawn({ name, command: line, logPath: join(plan.logDir, `${name}.log`) });
  const announced = await within(`start of ${name}`, START_TIMEOUT_MS, announcedPid(child));
  const pid = await processBelow(child.pid, announced);
  if (pid === null) throw endedEarly(child);
  await writeFile(join(labPaths(plan).pidDir, name), String(pid));
  return { name, child, pid, address: await addressesOf(pid) };
}

function announcedPid(child: Child): Promise<number> {
  return new Promise((resolve, reject) => {
    const stop = child.onLine((line) => {
      const match = /^\{"event":"listening".*"pid":(\d+)/.exec(line);
      if (match === null) return;
      stop();
      resolve(Number(match[1]));
    });
    void child.ended.then(() => reject(endedEarly(child)));
  });
}

/** The first global address of each family in a process's network namespace; '' when it has none. */
async function addressesOf(pid: number): Promise<Record<Family, string>> {
  const json = await command(inNetnsOf(pid, ['ip', '-j', 'address', 'show', 'scope', 'global']));
  const links = JSON.parse(json) as { addr_info?: { family: string; local: string }[] }[];
  const infos = links.flatMap((link) => link.addr_info ?? []);
  const first = (family: string): string => infos.find((info) => info.family === family)?.local ?? '';
  return { 4: first('inet'), 6: first('inet6') };
}

/**
 * A shell script that runs a command where an app of the lab runs: its cgroup (which decides the identity),
 * its network namespace and its mount namespace (which has the mesh's resolv.conf).
 */
export function insideScript(plan: LabPlan): string {
  const { pidDir } = labPaths(plan);
  return `#!/bin/sh
# inside NAME COMMAND…: runs a command as if it were the app NAME of this lab.
set -eu
if [ $# -lt 2 ] || [ ! -e "${pidDir}/$1" ]; then
  echo "usage: $0 NAME COMMAND…, where NAME is one of:" $(ls "${pidDir}") >&2
  exit 2
fi
pid=$(cat "${pidDir}/$1")
shift
echo $$ > "${dirname(plan.cgroupRoot)}$(sed -n 's/^0:://p' "/proc/$pid/cgroup")/cgroup.procs"
# Its /proc is that of its own process namespace, in which this command is not.
exec nsenter --target "$pid" --net --mount -- unshare --mount -- sh -c 'mount -n -t proc proc /proc && exec "$@"' inside "$@"
`;
}
