import { closeSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { podOfCgroup } from '#model/mesh/pod-cgroup.ts';
import { type FoundNamespace, namespaceOfPod, type SoughtNamespace, type SoughtPod } from '#model/mesh/pod-namespace.ts';
import { inNamespace } from './namespace.ts';

/** Where namespaces of pods are looked for: the processes of the node, and the folder in which runtimes keep namespaces by name. */
export type NodeView = { proc: string; named: string };

/** As a pod with the process ids of its node has it. */
export const NODE_VIEW: NodeView = { proc: '/proc', named: '/run/netns' };

/** Where each of these pods has its network, by uid; `all`: every pod of the node that has an address. One look for all of them. */
export function podNamespaces(
  pods: readonly SoughtPod[],
  all: readonly SoughtPod[],
  view: NodeView = NODE_VIEW,
): ReadonlyMap<string, SoughtNamespace> {
  const homeInode = statSync('/proc/self/ns/net').ino;
  const found = [...findNamespaces(view, homeInode).values()];
  return new Map(pods.map((pod) => [pod.uid, namespaceOfPod(pod, { found, homeInode, all })]));
}

/** The network namespace at a path; null: there is none, or it is this process's own. */
export function namespaceAt(path: string): Omit<FoundNamespace, 'pods'> | null {
  const inode = inodeOf(path);
  if (inode === null || inode === statSync('/proc/self/ns/net').ino) return null;
  const addresses = addressesIn(path);
  return addresses === null ? null : { path, inode, addresses };
}

type Finding = { path: string; pods: Set<string> };

/** Those that have a name, and those of processes of pods. A name stays when the process that was found has ended. */
function findNamespaces({ proc, named }: NodeView, homeInode: number): Map<number, FoundNamespace> {
  const findings = new Map<number, Finding>();
  for (const name of namesIn(named)) note(findings, join(named, name), null);
  for (const name of namesIn(proc)) {
    if (!/^\d+$/.test(name)) continue;
    const pod = podOfCgroup(textOf(join(proc, name, 'cgroup')));
    if (pod !== null) note(findings, join(proc, name, 'ns/net'), pod);
  }
  findings.delete(homeInode);
  const found = new Map<number, FoundNamespace>();
  for (const [inode, { path, pods }] of findings) {
    const addresses = addressesIn(path);
    if (addresses !== null) found.set(inode, { path, inode, addresses, pods });
  }
  return found;
}

function note(findings: Map<number, Finding>, path: string, pod: string | null): void {
  const inode = inodeOf(path);
  if (inode === null) return;
  const known = findings.get(inode) ?? { path, pods: new Set() };
  if (pod !== null) known.pods.add(pod);
  findings.set(inode, known);
}

/** Of the interfaces that are up; null for what is no namespace, or has ended. */
function addressesIn(path: string): Set<IpAddress> | null {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return null; // it has ended since it was found
  }
  try {
    const interfaces = inNamespace(fd, () => networkInterfaces());
    return new Set(Object.values(interfaces).flatMap((all = []) => all.flatMap(({ address }) => tryParseIp(address) ?? [])));
  } catch {
    return null; // a name whose namespace is gone is an empty file
  } finally {
    closeSync(fd);
  }
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path, { throwIfNoEntry: false })?.ino ?? null;
  } catch {
    return null; // a process that has ended meanwhile
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // the process has ended
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // a runtime that keeps its namespaces elsewhere
  }
}
