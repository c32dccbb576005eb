import { readdir, readFile } from 'node:fs/promises';
import { tryCommand } from '#testbed/processes/command.ts';
import { inNetnsOf } from '#testbed/processes/command-lines.ts';

/** One established TCP socket as the kernel describes it (`ss -tnpi`). */
export type EstablishedSocket = {
  local: string;
  localPort: number;
  remote: string;
  remotePort: number;
  /** Processes that hold it. */
  pids: number[];
  /** Payload bytes the peer has acknowledged. */
  bytesAcked: number;
  bytesReceived: number;
};

/** The established TCP sockets in the network namespace of a process. */
export async function establishedSockets(pid: number): Promise<EstablishedSocket[]> {
  const { stdout } = await tryCommand(inNetnsOf(pid, ['ss', '-HtnpiO', 'state', 'established']));
  return parseSockets(stdout);
}

/** Reads what `ss -HtnpiO state established` prints; lines of another shape are left out. */
export function parseSockets(text: string): EstablishedSocket[] {
  return text.split('\n').flatMap((line) => {
    const [, , local, remote] = line.trim().split(/\s+/);
    const localEnd = splitEnd(local);
    const remoteEnd = splitEnd(remote);
    if (localEnd === null || remoteEnd === null) return [];
    return [
      {
        local: localEnd.host,
        localPort: localEnd.port,
        remote: remoteEnd.host,
        remotePort: remoteEnd.port,
        pids: [...line.matchAll(/pid=(\d+)/g)].map((match) => Number(match[1])),
        bytesAcked: counter(line, 'bytes_acked'),
        bytesReceived: counter(line, 'bytes_received'),
      },
    ];
  });
}

/** `1.2.3.4:80`, `[::1]:80`, `[::ffff:1.2.3.4]:80`, each with an optional `%interface`. */
function splitEnd(text: string | undefined): { host: string; port: number } | null {
  const match = /^\[?(?:::ffff:)?([^\]%]+)(?:%[^\]:]+)?\]?:(\d+)$/.exec(text ?? '');
  return match === null ? null : { host: match[1] ?? '', port: Number(match[2]) };
}

function counter(line: string, name: string): number {
  return Number(new RegExp(`\\b${name}:(\\d+)`).exec(line)?.[1] ?? 0);
}

/**
 * Bytes that a process and its descendants have read and written through system calls so far,
 * sockets included (rchar and wchar of /proc/PID/io, proc(5)). A process that is gone counts 0.
 */
export async function ioBytes(pid: number): Promise<number> {
  const pids = descendants(pid, await parentsByPid());
  const each = await Promise.all(
    pids.map(async (one) => parseIoBytes(await readFile(`/proc/${one}/io`, 'utf8').catch(() => ''))),
  );
  return each.reduce((sum, bytes) => sum + bytes, 0);
}

/** rchar + wchar in the text of /proc/PID/io. */
export function parseIoBytes(text: string): number {
  const field = (name: string): number => Number(new RegExp(`^${name}: (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return field('rchar') + field('wchar');
}

/** The process and everything it started, directly or not. */
export function descendants(pid: number, parents: ReadonlyMap<number, number>): number[] {
  const found = [pid];
  for (let at = 0; at < found.length; at++) {
    for (const [child, parent] of parents) if (parent === found[at]) found.push(child);
  }
  return found;
}

/** The parent of every process there is. */
export async function parentsByPid(): Promise<Map<number, number>> {
  const parents = new Map<number, number>();
  const names = await readdir('/proc');
  await Promise.all(
    names
      .filter((name) => /^\d+$/.test(name))
      .map(async (name) => {
        const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        if (parent > 0) parents.set(Number(name), parent);
      }),
  );
  return parents;
}
