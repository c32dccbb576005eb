import type { FabricPlan } from './fabric/plan.ts';

/** The command, run in a cgroup: the shell joins it and becomes the program, so the process id stays. */
export function inCgroup(cgroup: string, command: readonly string[]): string[] {
  return ['sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, ...command];
}

/** The command, run in a named network namespace. */
export function inNetns(netns: string, command: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${netns}`, '--', ...command];
}

/** The command, run in a process's network namespace. */
export function inNetnsOf(pid: number, command: readonly string[]): string[] {
  return ['nsenter', `--net=/proc/${pid}/ns/net`, '--', ...command];
}

/** The command as a process of the run that is no workload: killed with the run, wherever it forks to. */
export function asHost(plan: FabricPlan, command: readonly string[]): string[] {
  return inCgroup(plan.hostCgroup, command);
}
