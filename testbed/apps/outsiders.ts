import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type App, startApp } from '#testbed/lab/app.ts';
import { type LabPlan, nodeOf, OUTSIDE_ECHO_PORT } from '#testbed/nodes/plan.ts';
import type { Spawn } from '#testbed/processes/child.ts';
import { asHost, inCgroup, inNetns, shopProgram, testbedProgram } from '#testbed/processes/command-lines.ts';

/** The port of the echo service that runs on a node without being a workload. */
export const NEIGHBOUR_PORT = 7001;

/** Programs that are not in the mesh. */
export type Outsiders = {
  /** On the host outside: an echo service and a probe. */
  echo: App;
  outside: App;
  /** On node alpha, in the very cgroup subtree that its agent captures, but in no workload. */
  neighbour: App;
  bystander: App;
};

/** Where the programs of alpha run that are no workloads. */
export function bystanderCgroup(plan: LabPlan): string {
  return join(nodeOf(plan, 'alpha').cgroup, 'bystander');
}

/** Starts all of them; returns when they listen. Errors: those of `startApp`. */
export async function startOutsiders(plan: LabPlan, spawn: Spawn): Promise<Outsiders> {
  await mkdir(bystanderCgroup(plan));
  const onHost = (name: string, line: string[]): Promise<App> =>
    startApp(plan, name, asHost(plan, inNetns(plan.outsideNetns, line)), spawn);
  const onNode = (name: string, line: string[]): Promise<App> =>
    startApp(plan, name, inCgroup(bystanderCgroup(plan), inNetns(nodeOf(plan, 'alpha').netns, line)), spawn);
  const [echo, outside, neighbour, bystander] = await Promise.all([
    onHost('outside-echo', shopProgram('echo', 'outside-echo', String(OUTSIDE_ECHO_PORT))),
    onHost('outside', testbedProgram('probe')),
    onNode('neighbour', shopProgram('echo', 'neighbour', String(NEIGHBOUR_PORT))),
    onNode('bystander', testbedProgram('probe')),
  ]);
  return { echo, outside, neighbour, bystander };
}
