import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';

/** The end of a log, at most so many bytes, from the beginning of a line. Errors: those of the file. */
export function tailOf(path: string, bytesMax: number): string {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, bytesMax));
    const text = bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.length, size - bytes.length));
    return size > bytesMax ? text.slice(text.indexOf('\n') + 1) : text;
  } finally {
    closeSync(file);
  }
}

/** Names of the files of a folder of logs, the youngest first; none where there is no folder. Errors: WEFT_NOT_ROOT, the system's. */
export function logFiles(folder: string): string[] {
  return namesIn(folder)
    .map((name) => ({ name, changedMs: statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.changedMs - a.changedMs)
    .map(({ name }) => name);
}

/** A state that is for root alone is not the same as no logs. */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    if (code !== 'EACCES') throw cause;
    throw new WeftError('WEFT_NOT_ROOT', `you may not read ${folder}`, { cause, remedy: 'run the same command with sudo' });
  }
}
