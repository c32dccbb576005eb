import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { podOfCgroup } from '#model/mesh/pod-cgroup.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';
import { systemClock } from '#platform/clock.ts';
import type { SocketTuple } from './destroy-socket.ts';
import { socketInode } from './find-socket.ts';

/** What the kubelet is called, by itself or as part of a distribution's one program. */
const NAMES: ReadonlySet<string> = new Set([
  'kubelet',
  'kubelite',
  'k3s',
  'k3s-server',
  'k3s-agent',
  'rke2',
  'rke2-agent',
  'k0s',
]);

let known: { pids: readonly string[]; foundMs: number } = { pids: [], foundMs: Number.NEGATIVE_INFINITY };

/**
 * Whether a connection was opened by the kubelet of this node: its socket is in the network namespace of the node, and a program of
 * root's that is called so and is in no pod has it open. An address alone says nothing: what comes by a port of the node bears it, too.
 */
export function isOfKubelet(tuple: SocketTuple, proc = '/proc'): boolean {
  const inode = socketInode(tuple);
  if (inode === null) return false;
  const socket = `socket:[${inode}]`;
  const holds = (pids: readonly string[]): boolean => pids.some((pid) => hasOpen(proc, pid, socket));
  const { monotonicMs } = systemClock;
  if (monotonicMs() - known.foundMs < KUBERNETES.kubeletLookMs && holds(known.pids.filter((pid) => isKubelet(proc, pid))))
    return true;
  // It may have been started anew.
  known = { pids: namesIn(proc).filter((name) => /^\d+$/.test(name) && isKubelet(proc, name)), foundMs: monotonicMs() };
  return holds(known.pids);
}

function isKubelet(proc: string, pid: string): boolean {
  try {
    const folder = join(proc, pid);
    if (!NAMES.has(readFileSync(join(folder, 'comm'), 'utf8').trim())) return false;
    // Anybody may call a program so; root on the node need not.
    return statSync(folder).uid === 0 && podOfCgroup(readFileSync(join(folder, 'cgroup'), 'utf8')) === null;
  } catch {
    return false; // it has ended
  }
}

function hasOpen(proc: string, pid: string, socket: string): boolean {
  const folder = join(proc, pid, 'fd');
  return namesIn(folder).some((fd) => {
    try {
      return readlinkSync(join(folder, fd)) === socket;
    } catch {
      return false; // closed meanwhile
    }
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it has ended
  }
}
