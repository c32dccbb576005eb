import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** Fixed by the kernel: the state of a socket that listens, as /proc/net/tcp has it. */
const LISTEN = '0A';

/** Who listens on a TCP port of this process's network namespace, as a sentence names it; null: nobody who can be found. */
export function portHolder(port: number): string | null {
  const inodes = new Set(['tcp', 'tcp6'].flatMap((name) => listeningInodes(textOf(`/proc/thread-self/net/${name}`), port)));
  if (inodes.size === 0) return null;
  const sockets = new Set([...inodes].map((inode) => `socket:[${inode}]`));
  const pid = namesIn('/proc').find(
    (one) => /^\d+$/.test(one) && namesIn(`/proc/${one}/fd`).some((fd) => sockets.has(linkOf(`/proc/${one}/fd/${fd}`))),
  );
  if (pid === undefined) return null;
  if (Number(pid) === process.pid) return 'another workload that is published there (see weft ps -o wide)';
  return `${basename(linkOf(`/proc/${pid}/exe`))} (pid ${pid})`;
}

/** The inodes of sockets that listen on a port, from the text of /proc/net/tcp. */
export function listeningInodes(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    return state === LISTEN && local.endsWith(`:${wanted}`) ? [inode] : [];
  });
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // it has ended
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed or ended by now
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
