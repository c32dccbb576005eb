import { basename } from 'node:path';
import type { Listener } from '#model/check/network.ts';
import { CHECK } from '#model/settings/checks.ts';
import { linkAt, namesIn, textAt } from '#platform/files/as-far-as-seen.ts';

/** Fixed by the kernel: the state LISTEN in /proc/net/tcp. Source: net/tcp_states.h. */
const LISTEN = '0A';

/** TCP sockets that listen on some of `ports` in this network namespace, with the process that has each, where it can be seen. */
export function surveyListeners(ports: ReadonlySet<number>): Listener[] {
  const sockets = listeningSockets().filter(({ port }) => ports.has(port));
  const holders = socketHolders(new Set(sockets.map(({ inode }) => inode)), CHECK.processesMax);
  return sockets.map(({ address, port, inode }) => {
    const pid = holders.get(inode) ?? null;
    return {
      address,
      port,
      pid,
      holder: pid === null ? 'another program' : `${textAt(`/proc/${pid}/comm`).trim()} (pid ${pid})`,
    };
  });
}

/** Who listens on a TCP port of this process's network namespace, as a sentence names it; null: nobody who can be found. */
export function portHolder(port: number): string | null {
  const sockets = listeningSockets().filter((one) => one.port === port);
  const [pid] = [...socketHolders(new Set(sockets.map(({ inode }) => inode))).values()].sort((a, b) => a - b);
  if (pid === undefined) return null;
  if (pid === process.pid) return 'another workload that is published there (see weft ps -o wide)';
  return `${basename(linkAt(`/proc/${pid}/exe`))} (pid ${pid})`;
}

/** A TCP socket that listens. */
type ListeningSocket = { address: string; port: number; inode: string };

/** Those of the network namespace that this thread is in. */
function listeningSockets(): ListeningSocket[] {
  return ['tcp', 'tcp6'].flatMap((table) => listeningIn(textAt(`/proc/thread-self/net/${table}`)));
}

/** Those in the text of /proc/net/tcp or tcp6. */
export function listeningIn(table: string): ListeningSocket[] {
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    const [hexAddress = '', hexPort = ''] = local.split(':');
    return state === LISTEN ? [{ address: addressOf(hexAddress), port: Number.parseInt(hexPort, 16), inode }] : [];
  });
}

/** The kernel prints addresses as 32-bit numbers of the machine, which has the lowest byte first. */
function addressOf(hex: string): string {
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).reverse());
  if (bytes.length === 4) return bytes.map((byte) => Number.parseInt(byte, 16)).join('.');
  if (bytes.every((byte) => byte === '00')) return '::';
  const groups = bytes.flatMap((byte, at) => (at % 2 === 0 ? [`${byte}${bytes[at + 1] ?? ''}`] : []));
  return groups.map((group) => Number.parseInt(group, 16).toString(16)).join(':');
}

/**
 * Inode of a socket → the process that has it open, of the first `processesMax` that are looked at. Others' descriptors are seen
 * by root alone.
 */
function socketHolders(inodes: ReadonlySet<string>, processesMax = Number.POSITIVE_INFINITY): Map<string, number> {
  const found = new Map<string, number>();
  const pids = namesIn('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids.slice(0, processesMax)) {
    if (found.size === inodes.size) break;
    for (const descriptor of namesIn(`/proc/${pid}/fd`)) {
      const [, inode = ''] = /^socket:\[(\d+)\]$/.exec(linkAt(`/proc/${pid}/fd/${descriptor}`)) ?? [];
      if (inodes.has(inode) && !found.has(inode)) found.set(inode, Number(pid));
    }
  }
  return found;
}
