import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';

/** How a program ended. */
export type CommandResult =
  | { kind: 'done'; stdout: string }
  | { kind: 'failed'; stderr: string }
  /** The program is not installed. */
  | { kind: 'missing' };

/** A user's PATH often leaves out where administration programs are. */
const ADMINISTRATION_FOLDERS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Runs a program to its end with `input` on its standard input; no shell is involved. Never rejects. */
export function runCommand(program: string, args: readonly string[], input = ''): Promise<CommandResult> {
  return new Promise((resolve) => {
    const options = {
      timeout: HOST.commandMs,
      maxBuffer: HOST.commandOutputBytesMax,
      env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
    };
    const child = execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve({ kind: 'done', stdout });
      else if (error.code === 'ENOENT') resolve({ kind: 'missing' });
      else resolve({ kind: 'failed', stderr: stderr.trim() === '' ? error.message : stderr.trim() });
    });
    child.stdin?.on('error', () => {}); // it ended before it read everything: its exit status tells
    child.stdin?.end(input);
  });
}

/** The absolute path of an installed program. Errors: WEFT_SANDBOX_COMMAND, naming the package that has it. */
export function findProgram(program: string, packageName: string): string {
  for (const folder of searchPath().split(':')) {
    try {
      const path = join(folder, program);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  throw missingProgram(program, packageName);
}

/** The error for a program that a package would bring. */
export function missingProgram(program: string, packageName: string): WeftError {
  return new WeftError('WEFT_SANDBOX_COMMAND', `the program "${program}" is not installed`, {
    remedy: `install the package ${packageName}`,
  });
}

function searchPath(): string {
  return [
    ...new Set([...(process.env.PATH ?? '').split(':').filter((folder) => folder.startsWith('/')), ...ADMINISTRATION_FOLDERS]),
  ].join(':');
}
