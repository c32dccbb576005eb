import { readFileSync } from 'node:fs';
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

function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false; // it has ended
  }
}
