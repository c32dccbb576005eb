import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Child, Spawn } from '#testbed/child.ts';
import { command } from '#testbed/command.ts';
import type { FabricPlan } from '#testbed/fabric/plan.ts';
import { asHost, inNetnsOf } from '#testbed/placement.ts';
import { within } from '#testbed/wait.ts';
import { weft } from '#testbed/weft-command.ts';
import { meshPaths } from './paths.ts';
import type { Family, WorkloadSpec } from './shop.ts';
import { SHOP_NAMESPACE } from './shop.ts';
import { endedEarly } from './wait-started.ts';

const START_TIMEOUT_MS = 40_000;

/** A running program of the demo that said it is ready: a workload, or a host outside the mesh. */
export type App = {
  name: string;
  child: Child;
  /** Process id of the program itself, as it announced it. */
  pid: number;
  /** Its addresses, read from the kernel in its own network namespace. */
  address: Record<Family, string>;
};

/** Runs a workload through `weft run` and waits until its program says that it listens. */
export function startWorkload(plan: FabricPlan, spec: WorkloadSpec, spawn: Spawn): Promise<App> {
  const labels = Object.entries(spec.labels).flatMap(([key, value]) => ['--label', `${key}=${value}`]);
  const line = weft(
    'run',
    '--name',
    spec.name,
    '--service-account',
    spec.serviceAccount,
    '--namespace',
    SHOP_NAMESPACE,
    ...labels,
    '--agent-socket',
    meshPaths(plan).agentSocket(spec.node),
    '--',
    ...spec.command,
  );
  return startApp(plan, spec.name, asHost(plan, line), spawn);
}

/** Runs a command line and waits until it announces a program that listens. Errors: WEFT_DEMO_APP, WEFT_DEMO_TIMEOUT. */
export async function startApp(plan: FabricPlan, name: string, line: readonly string[], spawn: Spawn): Promise<App> {
  const child = spawn({ name, command: line, logPath: join(plan.logDir, `${name}.log`) });
  const pid = await within(`start of ${name}`, START_TIMEOUT_MS, announcedPid(child));
  await writeFile(join(meshPaths(plan).pidDir, name), String(pid));
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
