import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Spawn } from '#testbed/child.ts';
import type { FabricPlan } from '#testbed/fabric/plan.ts';
import { OUTSIDE_4, OUTSIDE_6, OUTSIDE_ECHO_PORT } from '#testbed/fabric/plan.ts';
import { asHost, inCgroup, inNetns } from '#testbed/placement.ts';
import { demoProgram, shopProgram } from '#testbed/weft-command.ts';
import type { App } from './app.ts';
import { startApp } from './app.ts';

/** The one name that the resolver outside the mesh knows. */
export const OUTSIDE_NAME = 'www.outside.example';
/** The port of the echo service that runs on a node without being a workload. */
export const NEIGHBOUR_PORT = 7001;

/** Programs that are not in the mesh. */
export type Outsiders = {
  /** On the host outside: a resolver, an echo service and a probe. */
  dns: App;
  echo: App;
  outside: App;
  /** On node alpha, in the very cgroup subtree that its agent captures, but in no workload. */
  neighbour: App;
  bystander: App;
};

/** Where the programs of alpha run that are no workloads. */
export function bystanderCgroup(plan: FabricPlan): string {
  return join(plan.nodes.alpha.cgroup, 'bystander');
}

/** Starts all of them; returns when they listen. Errors: those of `startApp`. */
export async function startOutsiders(plan: FabricPlan, spawn: Spawn): Promise<Outsiders> {
  await mkdir(bystanderCgroup(plan));
  const onHost = (name: string, line: string[]): Promise<App> =>
    startApp(plan, name, asHost(plan, inNetns(plan.outsideNetns, line)), spawn);
  const onNode = (name: string, line: string[]): Promise<App> =>
    startApp(plan, name, inCgroup(bystanderCgroup(plan), inNetns(plan.nodes.alpha.netns, line)), spawn);
  const [dns, echo, outside, neighbour, bystander] = await Promise.all([
    onHost('outside-dns', demoProgram('outside/dns-server', OUTSIDE_4, '53', OUTSIDE_NAME, OUTSIDE_4, OUTSIDE_6)),
    onHost('outside-echo', shopProgram('echo', 'outside-echo', String(OUTSIDE_ECHO_PORT))),
    onHost('outside', demoProgram('probe/probe')),
    onNode('neighbour', shopProgram('echo', 'neighbour', String(NEIGHBOUR_PORT))),
    onNode('bystander', demoProgram('probe/probe')),
  ]);
  return { dns, echo, outside, neighbour, bystander };
}
