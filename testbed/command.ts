import { execFile } from 'node:child_process';
import { WeftError } from '#model/error.ts';

/** What a program printed, and its exit code. */
export type CommandResult = { code: number; stdout: string; stderr: string };

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

/**
 * Runs one program to its end and returns what it printed, whatever its exit code (-1: a signal ended it).
 * Errors: WEFT_DEMO_COMMAND when it cannot be started or takes longer than `timeoutMs`.
 */
export function tryCommand(command: readonly string[], timeoutMs = TIMEOUT_MS): Promise<CommandResult> {
  const [program = '', ...args] = command;
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX, killSignal: 'SIGKILL' },
      (error, stdout, stderr) => {
        if (error !== null && (typeof error.code === 'string' || error.killed === true)) {
          reject(commandError(command, error.killed === true ? `no end after ${timeoutMs} ms` : error.message, error));
        } else {
          resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
        }
      },
    );
  });
}

/** Standard output of a program that must succeed. Errors: WEFT_DEMO_COMMAND, with what it printed on standard error. */
export async function command(line: readonly string[], timeoutMs = TIMEOUT_MS): Promise<string> {
  const { code, stdout, stderr } = await tryCommand(line, timeoutMs);
  if (code !== 0) throw commandError(line, stderr.trim() || `exit code ${code}`);
  return stdout;
}

function commandError(line: readonly string[], why: string, cause?: unknown): WeftError {
  return new WeftError('WEFT_DEMO_COMMAND', `the command "${line.join(' ')}" failed: ${why}`, {
    cause,
    remedy: 'run the command by hand to see more; the demo needs root and Debian packages iproute2 and util-linux',
  });
}
