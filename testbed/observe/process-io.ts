import { readdir, readFile } from 'node:fs/promises';

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
