import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { COMMAND } from '#model/settings/host.ts';
import { argumentsOf, endProcess, isRunning } from '#platform/linux/process/processes.ts';
import { partFlags } from '#platform/program/installation.ts';
import type { Ending } from './restart.ts';

/** A running process of the mesh. */
export type Part = {
  pid: number;
  /** Settles once, when the process has ended. */
  ended: Promise<Ending>;
  /** Asks it to end with `signal`, kills it after `waitMs`, and resolves when it has ended. */
  stop(waitMs: number, signal?: NodeJS.Signals): Promise<Ending>;
};

/**
 * Starts a Node.js `program` with other arguments; it writes to our standard error.
 * In a process group of its own, so that Ctrl-C in the terminal reaches only its parent, which ends the parts in order.
 */
export function startPart(program: string, args: readonly string[]): Part {
  const child = spawn(process.execPath, [...partFlags(), program, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  });
  const ended = new Promise<Ending>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => resolve({ code: 127, signal: null }));
  });
  return {
    pid: child.pid ?? -1,
    ended,
    async stop(waitMs, signal = 'SIGTERM') {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), waitMs);
      return ended.finally(() => clearTimeout(timer));
    },
  };
}

/** Whether a process was started with these arguments of ours. */
export function runsWith(pid: number, args: readonly string[]): boolean {
  return argumentsOf(pid).slice(-args.length).join('\0') === args.join('\0');
}

/**
 * A part that somebody else started, who is gone. How it ends is told to its parent alone; but one that leaves on purpose closes
 * its socket, and one that is killed leaves it.
 */
export function adoptPart(pid: number, socket: string): Part {
  const ended = new Promise<Ending>((resolve) => {
    const timer = setInterval(() => {
      if (isRunning(pid)) return;
      clearInterval(timer);
      resolve({ code: existsSync(socket) ? 1 : 0, signal: null });
    }, COMMAND.pollMs);
  });
  return {
    pid,
    ended,
    async stop(waitMs) {
      await endProcess(pid, waitMs);
      return ended;
    },
  };
}
