import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import type { Rights } from '#model/rights/rights.ts';
import { readViewFacts } from '#platform/linux/confine/machine.ts';
import { setprivArgv } from '#platform/linux/confine/rights.ts';
import { planCover } from '#platform/linux/confine/view.ts';
import { findProgram } from '#platform/linux/process/command.ts';
import { openLogFile } from '#platform/telemetry/log-file.ts';
import { seeing } from './confined.ts';
import { commandLine, EXECUTE, entering, type Place } from './launch.ts';

/** How a process of the mesh itself is started in a sandbox. */
export type DetachedOptions = {
  rights: Rights;
  logFile: string;
  /** Directories that it does not see, but for `kept`, which may lie in one of them. */
  hidden: readonly string[];
  kept: string;
};

/**
 * Starts a command in a sandbox, to outlive this process: its output goes to `logFile`, which has no pipe to break. Returns its
 * process id; null when it cannot be started. `ended` is called when it ends while this process still runs.
 * Errors: those of launchIn.
 */
export function launchDetached(
  place: Place,
  argv: readonly string[],
  { rights, logFile, hidden, kept }: DetachedOptions,
  ended: () => void,
): number | null {
  const log = openLog(logFile);
  try {
    const { env, command } = commandLine(argv, { env: process.env, cwd: '/', rights }, EXECUTE);
    const drop = setprivArgv(findProgram('setpriv', 'util-linux'), rights);
    const plan = planCover(hidden, kept, readViewFacts());
    const inside = entering(place, [...seeing(plan, { cwd: '/', hostname: null }, []), ...drop, ...command]);
    const child = spawn('/bin/sh', ['-c', ...inside], { env, cwd: '/', stdio: ['ignore', log, log] });
    child.once('exit', ended);
    // A program that is not there is told by an event, too; the caller sees it by the missing id.
    child.once('error', ended);
    child.unref();
    return child.pid ?? null;
  } finally {
    closeSync(log);
  }
}

/** A log that cannot be had, on a full disk say, must not keep what works from beginning. */
function openLog(path: string): number {
  try {
    return openLogFile(path);
  } catch {
    return openSync('/dev/null', 'w');
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
