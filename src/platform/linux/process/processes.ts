import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { HOST } from '#model/settings/host.ts';
import { eventually } from './waiting.ts';

/** Whether a process is alive; one that ended and is not yet reaped is not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The state follows the name, which stands in parentheses and may hold anything.
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}

/** Ends a process: SIGTERM, and SIGKILL after `waitMs`; resolves when it has ended. */
export async function endProcess(pid: number, waitMs: number): Promise<void> {
  if (!signal(pid, 'SIGTERM') || (await eventually(() => !isRunning(pid), waitMs))) return;
  signal(pid, 'SIGKILL');
  await eventually(() => !isRunning(pid), waitMs);
}

/**
 * The processes with a thread in a network namespace, whatever their cgroup; this one, whose thread goes in and out of
 * namespaces, is left out. None when there is no such namespace.
 */
export function processesInNetns(netnsPath: string): number[] {
  const inode = statSync(netnsPath, { throwIfNoEntry: false })?.ino;
  if (inode === undefined) return [];
  const inside = `net:[${inode}]`;
  return numbersIn('/proc').filter(
    (pid) => pid !== process.pid && numbersIn(`/proc/${pid}/task`).some((thread) => netnsOf(pid, thread) === inside),
  );
}

/** Kills what lives in a network namespace until nothing is left there; false when some of it stays. */
export function killInNetns(netnsPath: string): Promise<boolean> {
  return eventually(() => {
    const inside = processesInNetns(netnsPath);
    for (const pid of inside) signal(pid, 'SIGKILL');
    return inside.length === 0;
  }, HOST.cgroupKillMs);
}

function numbersIn(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number).filter(Number.isInteger);
  } catch {
    return []; // it has ended
  }
}

/** Null for a thread that has ended: a zombie has no namespaces any more. */
function netnsOf(pid: number, thread: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/task/${thread}/ns/net`);
  } catch {
    return null;
  }
}

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false; // it has ended
  }
}

/** The words a process was started with; none when it has ended. */
export function argumentsOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return [];
  }
}

/** The directory that a process works in; null when it has ended, or is not ours to look into. */
export function directoryOf(pid: number): string | null {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return null;
  }
}

/** How many descriptors this process may open. */
export function descriptorsMax(limits: string = readFileSync('/proc/self/limits', 'utf8')): number {
  const soft = /^Max open files +(\d+|unlimited)/m.exec(limits)?.[1];
  // What is not limited is bounded by AGENT.carriedMax.
  return soft === undefined || soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft);
}
