import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { command, tryCommand } from '#testbed/command.ts';
import { killCgroup, removeCgroupTree } from './cgroups.ts';
import { fabricLeftovers, namespacesOfRun } from './leftovers.ts';
import { mountsBelow } from './mounts.ts';
import type { FabricPlan } from './plan.ts';
import { NODE_NAMES, OWNER_FILE, plannedNamespaces } from './plan.ts';
import { processIdentity } from './process-identity.ts';
import { wiringCommands } from './wiring.ts';

/**
 * Makes the namespaces, links, routes, cgroups and the private bpffs of a run.
 * Errors: WEFT_DEMO_COMMAND; what was made until then is left for `fabricDown`.
 */
export async function fabricUp(plan: FabricPlan): Promise<void> {
  await mkdir(plan.runDir, { mode: 0o700 });
  await mkdir(plan.logDir, { mode: 0o700 });
  await writeFile(join(plan.runDir, OWNER_FILE), (await processIdentity(process.pid)) ?? '');
  await mkdir(plan.cgroupRoot);
  await mkdir(plan.hostCgroup);
  await mkdir(plan.bpffsMount);
  await command(['mount', '-t', 'bpf', basename(plan.runDir), plan.bpffsMount]);
  await chmod(plan.bpffsMount, 0o700);
  for (const name of NODE_NAMES) await mkdir(plan.nodes[name].cgroup);
  for (const line of wiringCommands(plan)) await command(line);
}

/**
 * Removes everything of a run, in whatever state it is, and proves it. Idempotent.
 * Errors: WEFT_DEMO_LEFTOVERS naming what could not be removed.
 */
export async function fabricDown(plan: FabricPlan, keepLogs: boolean): Promise<void> {
  await killCgroup(plan.cgroupRoot);
  const namespaces = new Set([
    ...(await linkedNamespaces(plan)),
    ...(await namespacesOfRun(plan.runId)),
    ...plannedNamespaces(plan),
  ]);
  for (const netns of namespaces) await removeNamespace(netns);
  // Deepest first: a mount may carry another one.
  for (const mount of (await mountsBelow(plan.runDir)).reverse()) {
    const { code } = await tryCommand(['umount', mount]);
    if (code !== 0) await tryCommand(['umount', '-l', mount]);
  }
  await removeCgroupTree(plan.cgroupRoot);
  await rm(plan.runDir, { recursive: true, force: true });
  if (!keepLogs) await rm(plan.logDir, { recursive: true, force: true });
  const left = await fabricLeftovers(plan);
  if (left.length > 0) {
    throw new WeftError('WEFT_DEMO_LEFTOVERS', `the demo left behind: ${left.join(', ')}`, {
      remedy: 'run the demo again (it sweeps what dead runs left), or remove them by hand',
    });
  }
}

/** Named namespaces with a link to a node, whatever their name: those that agents made for workloads are among them. */
async function linkedNamespaces(plan: FabricPlan): Promise<string[]> {
  const found: string[] = [];
  for (const name of NODE_NAMES) {
    const { stdout } = await tryCommand(['ip', '-n', plan.nodes[name].netns, 'netns', 'list-id']);
    for (const match of stdout.matchAll(/iproute2 netns name: ([^\s)]+)/g)) found.push(match[1] ?? '');
  }
  return found;
}

/** Kills what runs in a namespace, then removes its name; a namespace that does not exist is fine. */
async function removeNamespace(netns: string): Promise<void> {
  const { stdout } = await tryCommand(['ip', 'netns', 'pids', netns]);
  for (const pid of stdout.split('\n').filter(Boolean).map(Number)) {
    if (pid !== process.pid) tryKill(pid);
  }
  await tryCommand(['ip', 'netns', 'delete', netns]);
}

function tryKill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile.
  }
}
