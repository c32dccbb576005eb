import { access, chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { command, tryCommand } from '#testbed/processes/command.ts';
import { processAlive, processIdentity } from '#testbed/processes/process-table.ts';
import { cgroupTree, killCgroup, removeCgroupTree } from './cgroups.ts';
import { type LabPlan, labIdOf, OWNER_FILE, planLab } from './plan.ts';
import { wiringCommands } from './wiring.ts';

/** Where iproute2 keeps the names of network namespaces. */
export const NETNS_DIR = '/run/netns';

/**
 * Makes the namespaces, links, routes, cgroups and the private bpffs of a lab.
 * Errors: WEFT_TESTBED_COMMAND; what was made until then is left for `nodesDown`.
 */
export async function nodesUp(plan: LabPlan): Promise<void> {
  await mkdir(plan.runDir, { mode: 0o700 });
  await mkdir(plan.logDir, { mode: 0o700 });
  await writeFile(join(plan.runDir, OWNER_FILE), (await processIdentity(process.pid)) ?? '');
  await mkdir(plan.cgroupRoot);
  await mkdir(plan.hostCgroup);
  await mkdir(plan.bpffsMount);
  await command(['mount', '-t', 'bpf', basename(plan.runDir), plan.bpffsMount]);
  await chmod(plan.bpffsMount, 0o700);
  for (const { cgroup } of plan.nodes) await mkdir(cgroup);
  for (const line of wiringCommands(plan)) await command(line);
}

/**
 * Removes everything of a lab, in whatever state it is, and proves it. Idempotent.
 * Errors: WEFT_TESTBED_LEFTOVERS naming what could not be removed.
 */
export async function nodesDown(plan: LabPlan, keepLogs: boolean): Promise<void> {
  await killCgroup(plan.cgroupRoot);
  const own = await namespacesOf(plan.id);
  const namespaces = new Set([...(await linkedNamespaces(own)), ...own]);
  for (const netns of namespaces) await removeNamespace(netns);
  // Deepest first: a mount may carry another one.
  for (const mount of (await mountsBelow(plan.runDir)).reverse()) {
    const { code } = await tryCommand(['umount', mount]);
    if (code !== 0) await tryCommand(['umount', '-l', mount]);
  }
  await removeCgroupTree(plan.cgroupRoot);
  await rm(plan.runDir, { recursive: true, force: true });
  if (!keepLogs) await rm(plan.logDir, { recursive: true, force: true });
  const left = await leftoversOf(plan);
  if (left.length > 0) {
    throw new WeftError('WEFT_TESTBED_LEFTOVERS', `lab ${plan.id} left behind: ${left.join(', ')}`, {
      remedy: 'run the same command again (it sweeps what dead labs left), or remove them by hand',
    });
  }
}

/** Named namespaces with a link to one of the lab, whatever their name: those that agents made for workloads are among them. */
async function linkedNamespaces(own: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const netns of own) {
    const { stdout } = await tryCommand(['ip', '-n', netns, 'netns', 'list-id']);
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

/**
 * Removes what labs in the same place left behind whose process died (kill -9, power button of a terminal); returns their ids.
 * A lab whose owner still lives, or has not yet written who it is, is left alone.
 */
export async function sweepDeadLabs(current: LabPlan): Promise<string[]> {
  const baseDir = dirname(current.runDir);
  const cgroup2Mount = dirname(current.cgroupRoot);
  const names = await Promise.all([baseDir, cgroup2Mount, NETNS_DIR].map((dir) => readdir(dir).catch(() => [])));
  const ids = new Set(names.flat().map(labIdOf));
  const swept: string[] = [];
  for (const id of ids) {
    if (id === null || id === current.id) continue;
    const plan = planLab(id, baseDir, cgroup2Mount);
    if ((await labState(plan)) !== 'dead') continue;
    await nodesDown(plan, true);
    swept.push(id);
  }
  return swept;
}

/** Whether the process that owns a lab lives; `absent`: there is no such lab, or it is being made or removed right now. */
export async function labState(plan: LabPlan): Promise<'alive' | 'dead' | 'absent'> {
  // The directory is made first and removed last, so one without an owner has one that is at work on it.
  const owner = await readFile(join(plan.runDir, OWNER_FILE), 'utf8').catch(() => null);
  if (owner === null) return 'absent';
  return (await processAlive(owner)) ? 'alive' : 'dead';
}

/** What still exists of a lab, as short descriptions; its logs do not count. Empty: nothing. */
export async function leftoversOf(plan: LabPlan): Promise<string[]> {
  const namespaces = await namespacesOf(plan.id);
  const mounts = await mountsBelow(plan.runDir);
  const directory = await access(plan.runDir).then(
    () => [plan.runDir],
    () => [],
  );
  return [
    ...namespaces.map((netns) => `namespace ${netns}`),
    ...(await cgroupTree(plan.cgroupRoot)).map((path) => `cgroup ${path}`),
    ...mounts.map((path) => `mount ${path}`),
    ...directory.map((path) => `directory ${path}`),
  ];
}

/** Network namespaces that bear the name of a lab or of one of its nodes. */
export async function namespacesOf(id: string): Promise<string[]> {
  return (await readdir(NETNS_DIR).catch(() => [])).filter((netns) => labIdOf(netns) === id);
}

/** Mount points at or below `dir`, in the order they were mounted. */
export async function mountsBelow(dir: string): Promise<string[]> {
  return parseMountPoints(await readFile('/proc/self/mountinfo', 'utf8')).filter(
    (path) => path === dir || path.startsWith(`${dir}/`),
  );
}

/** The mount points in the text of /proc/self/mountinfo, with its octal escapes undone (proc(5)). */
export function parseMountPoints(mountinfo: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4])
    .filter((path) => path !== undefined)
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))));
}
