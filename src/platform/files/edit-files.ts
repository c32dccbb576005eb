import { type FileHandle, open, readFile, realpath, rename, rm, stat, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { refusalOf } from '#model/system-error.ts';

/** For all to read, as an editor would make it; a file that is there keeps its own. */
const MODE = 0o644;

/** A file's text now; null when there is none. Errors: WEFT_RESOURCE_WRITE. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (isMissing(cause)) return null;
    throw notWritten(path, cause);
  }
}

/**
 * Puts a text in the place of another, null: of no file. Whoever reads the file finds the old text or the new one, also after a
 * crash; it keeps its mode and its owner, and a link stays one. Errors: WEFT_RESOURCE_WRITE, also when it does not say `before`.
 */
export async function exchangeText(path: string, before: string | null, text: string | null): Promise<void> {
  if ((await readIfThere(path)) !== before) {
    const remedy = 'run the same command again';
    throw new WeftError('WEFT_RESOURCE_WRITE', `${path} was changed by somebody else at the same moment`, { remedy });
  }
  try {
    if (text !== null) await writeWhole(before === null ? path : await realpath(path), text);
    else if (before !== null) await unlink(path);
  } catch (cause) {
    throw notWritten(path, cause);
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const owner = await stat(path).catch(() => null);
  // What begins with a dot is nobody's configuration.
  const unfinished = join(dirname(path), `.${basename(path)}.new`);
  try {
    const file = await open(unfinished, 'w', MODE);
    await filled(file, text, owner);
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function filled(file: FileHandle, text: string, owner: { mode: number; uid: number; gid: number } | null): Promise<void> {
  try {
    await file.writeFile(text);
    if (owner !== null) {
      await file.chmod(owner.mode);
      await file.chown(owner.uid, owner.gid);
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
}

function notWritten(path: string, cause: unknown): WeftError {
  return new WeftError('WEFT_RESOURCE_WRITE', `cannot change ${path}: ${refusalOf(cause)}`, {
    cause,
    remedy: 'let the control plane write there and make room on its disk; what the file said stays in force',
  });
}
