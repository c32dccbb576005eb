import { spawn } from 'node:child_process';
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
