import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Listener } from '#model/check/network.ts';
import { CHECK } from '#model/settings/checks.ts';

/** Fixed by the kernel: the state LISTEN in /proc/net/tcp. Source: net/tcp_states.h. */
const LISTEN = '0A';

/** TCP sockets that listen on some of `ports` in this network namespace, with the process that has each, where it can be seen. */
export function surveyListeners(ports: ReadonlySet<number>): Listener[] {
  const sockets = ['tcp', 'tcp6'].flatMap(listening).filter(({ port }) => ports.has(port));
  const holders = holdersOf(new Set(sockets.map(({ inode }) => inode)));
  return sockets.map(({ address, port, inode }) => ({
    address,
    port,
    ...(holders.get(inode) ?? { pid: null, holder: 'another program' }),
  }));
}

type ListeningSocket = { address: string; port: number; inode: string };

function listening(table: string): ListeningSocket[] {
  return readOrEmpty(`/proc/self/net/${table}`)
    .split('\n')
    .slice(1)
    .flatMap((line) => {
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

/** Inode of a socket → the process that has it open. Others' descriptors are seen by root alone. */
function holdersOf(inodes: ReadonlySet<string>): Map<string, { pid: number; holder: string }> {
  const found = new Map<string, { pid: number; holder: string }>();
  if (inodes.size === 0) return found;
  for (const pid of namesIn('/proc')
    .filter((name) => /^\d+$/.test(name))
    .slice(0, CHECK.processesMax)) {
    for (const descriptor of namesIn(`/proc/${pid}/fd`)) {
      const [, inode = ''] = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${descriptor}`)) ?? [];
      if (!inodes.has(inode) || found.has(inode)) continue;
      found.set(inode, { pid: Number(pid), holder: `${readOrEmpty(`/proc/${pid}/comm`).trim()} (pid ${pid})` });
    }
    if (found.size === inodes.size) break;
  }
  return found;
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it has ended, or is not ours to look into
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
