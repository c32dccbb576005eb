import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';

/** What a program printed, and its exit code. */
export type CommandResult = { code: number; stdout: string; stderr: string };

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

/**
 * Runs one program to its end and returns what it printed, whatever its exit code (-1: a signal ended it).
 * Errors: WEFT_TESTBED_COMMAND when it cannot be started or takes longer than `timeoutMs`.
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

/** Standard output of a program that must succeed. Errors: WEFT_TESTBED_COMMAND, with what it printed on standard error. */
export async function command(line: readonly string[], timeoutMs = TIMEOUT_MS): Promise<string> {
  const { code, stdout, stderr } = await tryCommand(line, timeoutMs);
  if (code !== 0) throw commandError(line, stderr.trim() || `exit code ${code}`);
  return stdout;
}

function commandError(line: readonly string[], why: string, cause?: unknown): WeftError {
  return new WeftError('WEFT_TESTBED_COMMAND', `the command "${line.join(' ')}" failed: ${why}`, {
    cause,
    remedy: 'run the command by hand to see more; the test bed needs root and the Debian packages iproute2 and util-linux',
  });
}

/** Programs the test bed runs, with the Debian package of each. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  nsenter: 'util-linux',
  mount: 'mount',
  sysctl: 'procps',
  ss: 'iproute2',
  tcpdump: 'tcpdump',
  bpftool: 'bpftool',
};
/** Those that a lab needs. */
export const LAB_TOOLS = ['ip', 'nsenter', 'mount', 'sysctl'] as const;
/** Those that a lab and the checks in it need. */
export const CHECK_TOOLS = [...LAB_TOOLS, 'ss', 'tcpdump', 'bpftool'] as const;

/** Returns when each of these programs is there. Errors: WEFT_TESTBED_TOOLS naming all that are missing. */
export async function requireTools(names: readonly string[], searchPath = process.env.PATH ?? ''): Promise<void> {
  const missing = [];
  for (const name of names) if (!(await isOnPath(name, searchPath))) missing.push(name);
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((name) => PACKAGES[name] ?? name))].join(' ');
  throw new WeftError('WEFT_TESTBED_TOOLS', `the test bed needs programs that are not installed: ${missing.join(', ')}`, {
    remedy: `install them (Debian: apt-get install ${packages}), or run make setup`,
  });
}

async function isOnPath(name: string, searchPath: string): Promise<boolean> {
  for (const dir of searchPath.split(':')) {
    if (
      await access(join(dir, name), constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
}
