import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { NETNS_DIR } from '#testbed/nodes/nodes.ts';
import { type LabPlan, labIdOf } from '#testbed/nodes/plan.ts';
import { allProcesses, describeProcess, processesOf } from '#testbed/processes/process-table.ts';
import { type BpfObject, bpfObjects, heldObjects, keptAlive, pinnedBelow } from './bpf-objects.ts';

/** What a running mesh has in the kernel, found through its processes and its pins, and not through what it says. */
export type OwnThings = {
  /** Paths of the cgroups its processes are in. */
  cgroups: ReadonlySet<string>;
  /** Inodes of the network namespaces its processes are in, but for the machine's own. */
  namespaces: ReadonlySet<number>;
  /** What these are called: the kernel gives the number of one that has gone to the next one. */
  names: ReadonlySet<string>;
  /** Keys of the eBPF objects that it holds or has pinned, and of what these keep alive. */
  bpf: ReadonlySet<string>;
};

/** Looks at every process of a run and at its bpf file system. */
export async function recordOwnThings(plan: LabPlan): Promise<OwnThings> {
  const pids = await processesOf(plan.id);
  const machine = await inodeOf('/proc/self/ns/net');
  const cgroups = await Promise.all(pids.map((pid) => cgroupOf(pid, dirname(plan.cgroupRoot))));
  const namespaces = (await Promise.all(pids.map((pid) => inodeOf(`/proc/${pid}/ns/net`)))).filter((inode) => inode !== null);
  const inodes = new Set(namespaces.filter((inode) => inode !== machine));
  const named = await namedNamespaces();
  const held = await heldObjects(pids);
  const own = ({ key, pinned }: BpfObject): boolean => held.has(key) || pinned.some((path) => pinnedBelow(plan.runDir, path));
  return {
    cgroups: new Set(cgroups.filter((path) => path !== null)),
    namespaces: inodes,
    names: new Set(named.flatMap(({ name, inode }) => (inode !== null && inodes.has(inode) ? [name] : []))),
    bpf: keptAlive((await bpfObjects()) ?? [], own),
  };
}

/**
 * What is still there of a run when it should be gone, in words: what it owned, what bears its name, its processes, and
 * eBPF objects that are new since `known` and that nobody living accounts for.
 */
export async function leftOf(plan: LabPlan, own: OwnThings, known: ReadonlySet<string>): Promise<string[]> {
  const namespaces = (await namedNamespaces()).filter(
    ({ name, inode }) => labIdOf(name) === plan.id || (own.names.has(name) && inode !== null && own.namespaces.has(inode)),
  );
  const cgroups = await Promise.all([...own.cgroups].map(async (path) => ((await inodeOf(path)) === null ? [] : [path])));
  const processes = await Promise.all((await processesOf(plan.id)).map(describeProcess));
  return [
    ...processes,
    ...namespaces.map(({ name }) => `namespace ${name}`),
    ...cgroups.flat().map((path) => `cgroup ${path}`),
    ...(await bpfLeft(plan, own, known)),
  ];
}

async function namedNamespaces(): Promise<{ name: string; inode: number | null }[]> {
  const names = await readdir(NETNS_DIR).catch(() => []);
  return Promise.all(names.map(async (name) => ({ name, inode: await inodeOf(join(NETNS_DIR, name)) })));
}

async function bpfLeft(plan: LabPlan, own: OwnThings, known: ReadonlySet<string>): Promise<string[]> {
  const objects = (await bpfObjects()) ?? [];
  const held = await heldObjects(await allProcesses());
  const accounted = keptAlive(
    objects,
    ({ key, pinned }) => held.has(key) || pinned.some((path) => !pinnedBelow(plan.runDir, path)),
  );
  return objects
    .filter(({ key }) => own.bpf.has(key) || (!accounted.has(key) && !known.has(key)))
    .map(({ key, type, name, pinned }) => ['bpf', key, type, name, ...pinned].filter(Boolean).join(' '));
}

async function cgroupOf(pid: number, cgroup2Mount: string): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '');
  const path = /^0::(.*)$/m.exec(text)?.[1];
  // The root of the hierarchy is nobody's.
  return path === undefined || path === '/' ? null : join(cgroup2Mount, path);
}

async function inodeOf(path: string): Promise<number | null> {
  return stat(path).then(
    ({ ino }) => ino,
    () => null,
  );
}
