import { spawn } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import { partFlags } from '#platform/program/installation.ts';
import { openLogFile } from '#platform/telemetry/log-file.ts';

/** What a process in the background says to the one that started it, once. */
const READY = 'ready';

/** Lines of its log that are shown when it ended before it was ready. */
const TAIL_LINES = 20;

/**
 * Starts a Node.js `program` apart from this terminal, with its output in `logFile`. Resolves once it says that it is ready; with
 * the end of its log when it ended before that.
 */
export function startInBackground(
  program: string,
  args: readonly string[],
  logFile: string,
): Promise<{ pid: number } | { log: string }> {
  const log = openLogFile(logFile);
  const child = spawn(process.execPath, [...partFlags(), program, ...args], {
    stdio: ['ignore', log, log, 'ipc'],
    detached: true,
  });
  closeSync(log);
  return new Promise((resolve) => {
    const failed = (): void => resolve({ log: tailOf(logFile) });
    child.once('exit', failed);
    child.once('error', failed);
    child.once('message', () => {
      child.disconnect();
      child.unref();
      resolve({ pid: child.pid ?? -1 });
    });
  });
}

/** Tells whoever started this process in the background that it is ready; nobody, when it was started otherwise. */
export function sayReady(): void {
  process.send?.(READY);
}

function tailOf(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
