import type { StdioOptions } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Rights } from '#model/rights/rights.ts';
import { launchIn, type Place } from './launch.ts';

/**
 * Starts a command in a sandbox, to outlive this process: its output goes to `logFile`, which has no pipe to break. Returns its
 * process id; null when it cannot be started. `ended` is called when it ends while this process still runs.
 * Errors: those of launchIn, and of opening the file.
 */
export function launchDetached(
  place: Place,
  command: readonly string[],
  { rights, logFile }: { rights: Rights; logFile: string },
  ended: () => void,
): number | null {
  const log = openSync(logFile, 'a', 0o600);
  try {
    const stdio: StdioOptions = ['ignore', log, log];
    const child = launchIn(place, command, { env: process.env, cwd: '/', mountResolvConf: false, rights, stdio });
    child.once('exit', ended);
    // A program that is not there is told by an event, too; the caller sees it by the missing id.
    child.once('error', ended);
    child.unref();
    return child.pid ?? null;
  } finally {
    closeSync(log);
  }
}

/**
 * Field 22 of /proc/PID/stat, in clock ticks since boot: guards against a re-used process id. null for one that is gone, or a
 * zombie, which only waits for its parent.
 */
export function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field is the program's name, which may hold spaces and brackets of its own.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}

/** Sends a signal; a process that is gone by now needs none. */
export function signalProcess(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}
