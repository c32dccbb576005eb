import { join } from 'node:path';
import { WEFT_ROOT } from '#platform/program/installation.ts';

/** The directory that holds bin/, src/ and examples/. */
export const REPO_ROOT = join(WEFT_ROOT, '/');

/** A `weft` command line. The shell of bin/weft becomes Node.js, so the process id stays. */
export function weft(...args: string[]): string[] {
  return [`${REPO_ROOT}bin/weft`, ...args];
}

/** A program of the bookshop example. */
export function shopProgram(name: string, ...args: string[]): string[] {
  return [process.execPath, `${REPO_ROOT}examples/bookshop/${name}.ts`, ...args];
}

/** A program of the test bed itself: `probe` or `dns-server`. */
export function testbedProgram(name: string, ...args: string[]): string[] {
  return [process.execPath, `${REPO_ROOT}testbed/apps/${name}.ts`, ...args];
}

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

/** The command as a process of a lab that is no workload: killed with the lab, wherever it forks to. */
export function asHost({ hostCgroup }: { hostCgroup: string }, command: readonly string[]): string[] {
  return inCgroup(hostCgroup, command);
}
