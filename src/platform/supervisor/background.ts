import { spawn } from 'node:child_process';
import { closeSync, fstatSync, readFileSync } from 'node:fs';
import { partFlags } from '#platform/program/installation.ts';
import { openLogFile } from '#platform/telemetry/log-file.ts';

/** What a process in the background says to the one that started it, once. */
const READY = 'ready';

/** Lines of its log that are shown when it ended before it was ready. */
const TAIL_LINES = 20;

/**
 * Starts a Node.js `program` apart from this terminal, with its output in `logFile`, and with descriptors of this process as 3, 4
 * and so on. Resolves once it says that it is ready; when it ended before that, with what it has added to its log, the end of it.
 */
export function startInBackground(
  program: string,
  args: readonly string[],
  logFile: string,
  descriptors: readonly number[] = [],
): Promise<{ pid: number } | { log: string }> {
  const log = openLogFile(logFile);
  const before = fstatSync(log).size;
  const child = spawn(process.execPath, [...partFlags(), program, ...args], {
    stdio: ['ignore', log, log, ...descriptors, 'ipc'],
    // Names, to the process in the background, the one that started it.
    env: { ...process.env, WEFT_STARTED_BY: String(process.pid) },
    detached: true,
  });
  closeSync(log);
  return new Promise((resolve) => {
    const failed = (): void => resolve({ log: tailOf(logFile, before) });
    child.once('exit', failed);
    child.once('error', failed);
    child.once('message', () => {
      child.disconnect();
      child.unref();
      resolve({ pid: child.pid ?? -1 });
    });
  });
}

/** Whether `startInBackground` started this process. What it starts itself is not told so. */
export function isInBackground(): boolean {
  const starter = process.env.WEFT_STARTED_BY;
  delete process.env.WEFT_STARTED_BY;
  return starter === String(process.ppid) && process.send !== undefined;
}

/** Tells whoever started this process in the background that it is ready; nobody, when it was started otherwise. */
export function sayReady(): void {
  process.send?.(READY);
}

function tailOf(file: string, from: number): string {
  const bytes = readFileSync(file);
  // One that was full is shorter now than it was.
  const added = bytes.subarray(from <= bytes.length ? from : 0).toString();
  return added.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
}
