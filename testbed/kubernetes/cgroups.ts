import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { killCgroup, removeCgroupTree } from '#testbed/nodes/cgroups.ts';

/**
 * A cgroup of one name in every hierarchy that this machine has, below this process's own. A node gets a cgroup namespace in which
 * its cgroups look like the roots: kubelet and runc make theirs below, and programs that an agent attaches to "the root" see this
 * node's pods only.
 */
export type Cgroups = { paths: readonly string[] };

/** A group for a cluster and, below it, one for each node. Errors: those of mkdir; when version 2 has no hierarchy of its own. */
export async function makeCgroups(name: string, nodes: readonly string[]): Promise<Cgroups> {
  const paths = (await ownCgroups()).map((path) => join(path, name));
  for (const path of paths) for (const dir of [path, ...nodes.map((node) => join(path, node))]) await makeCgroup(dir);
  return { paths };
}

/** Those of a node. */
export function cgroupsOf({ paths }: Cgroups, node: string): string[] {
  return paths.map((path) => join(path, node));
}

/** Ends what is in them, and removes them with all below. Errors: when one is still in use. */
export async function removeCgroups({ paths }: Cgroups): Promise<void> {
  for (const path of paths) {
    await killCgroup(path);
    if (!(await removeCgroupTree(path))) throw new Error(`the cgroup ${path} is still in use`);
  }
}

/** Removes those of clusters whose process has ended without doing so. */
export async function sweepCgroups(): Promise<void> {
  for (const parent of await ownCgroups()) {
    const left = (await readdir(parent)).filter(isLeft);
    for (const name of left) await removeCgroups({ paths: [join(parent, name)] });
  }
}

/** Folders and cgroups of a cluster are called this and the id of the process that started it. */
export const CLUSTER_PREFIX = 'weft-cluster-';

/** Whether what is called so is that of a cluster whose process is gone. */
export function isLeft(name: string): boolean {
  return name.startsWith(CLUSTER_PREFIX) && !existsSync(`/proc/${name.slice(CLUSTER_PREFIX.length)}`);
}

async function ownCgroups(): Promise<string[]> {
  return cgroupPaths(await readFile('/proc/self/cgroup', 'utf8'), await readFile('/proc/mounts', 'utf8'));
}

/** This process's own cgroup in each mounted hierarchy, from the texts of /proc/self/cgroup and /proc/mounts. */
export function cgroupPaths(own: string, mounts: string): string[] {
  const mounted = mounts
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type = '']) => type.startsWith('cgroup'));
  const hierarchies = own
    .trim()
    .split('\n')
    .map((line) => line.split(':'));
  return hierarchies.flatMap(([, controllers = '', ...path]) => {
    const mount = mounted.find(([, , type, options = '']) =>
      controllers === '' ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes(controllers.split(',')[0] ?? ''),
    );
    return mount?.[1] === undefined ? [] : [join(mount[1], path.join(':'))];
  });
}

async function makeCgroup(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    const text = await readFile(join(dir, file), 'utf8').catch(() => null);
    // A new cpuset of version 1 is empty, and no process can enter an empty one.
    if (text?.trim() === '') await writeFile(join(dir, file), await readFile(join(dir, '..', file), 'utf8'));
  }
}
