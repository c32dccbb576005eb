import { watch } from 'node:fs';
import { chmod, chown, copyFile, mkdir, open, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Cancel } from '#model/effects/clock.ts';
import type { ConfFile } from '#model/network-chain/conf-list.ts';
import { named } from '#model/system-error.ts';

/** Behind this no runtime looks for a configuration or a program. */
const UNFINISHED = '.weft-new';

/** The configurations of a folder, those that can be read now; none where there is no such folder. */
export async function readConfs(folder: string): Promise<ConfFile[]> {
  const names = await readdir(folder).catch(() => []); // a primary that makes it later is seen then
  const read = names
    .filter((name) => !name.startsWith('.') && !name.endsWith(UNFINISHED))
    .map(async (name): Promise<ConfFile | null> => {
      const text = await readFile(join(folder, name), 'utf8').catch(() => null); // it is a folder, or went
      return text === null ? null : { name, text };
    });
  return (await Promise.all(read)).filter((one) => one !== null);
}

/**
 * Puts a text in the place of a file's that still says `before`, by one step in its own folder, with its owner and mode: a runtime reads one
 * or the other. False: somebody else has written it meanwhile, which stays. Errors: the system's, with the name of the file.
 */
export async function rewriteConf(folder: string, { name, text: before }: ConfFile, after: string): Promise<boolean> {
  const path = join(folder, name);
  try {
    const { uid, gid, mode } = await stat(path);
    return await inPlaceOf(path, async (unfinished) => {
      const file = await open(unfinished, 'w', mode & 0o777);
      try {
        await file.writeFile(after);
        await file.chmod(mode & 0o7777);
        await file.chown(uid, gid);
        await file.sync();
      } finally {
        await file.close();
      }
      return (await readFile(path, 'utf8')) === before;
    });
  } catch (error) {
    throw named(path, error);
  }
}

/** A file of our own, which nobody else writes: runtimes with libcni 1.3 append what they find in the folder of a network's name. */
const DROP_IN = '90-weft.conf';

/**
 * Puts our entry into the folder of a network below that of the configurations, and takes it from any other; null: from all of them. A runtime
 * is told, as it does not look below by itself. Errors: the system's, with the name of the file.
 */
export async function placeDropIn(folder: string, network: string | null, text: string): Promise<void> {
  const folders = (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter((one) => one.isDirectory());
  let isOther = false;
  for (const { name } of folders) {
    const path = join(folder, name, DROP_IN);
    if (name === network || (await textOf(path)) === null) continue;
    await rm(path, { force: true });
    await rmdir(dirname(path)).catch(() => {}); // there is something of others in it
    isOther = true;
  }
  const path = join(folder, network ?? '', DROP_IN);
  if (network !== null && (await textOf(path)) !== text) {
    try {
      await mkdir(dirname(path), { recursive: true });
      await inPlaceOf(path, async (unfinished) => {
        await writeFile(unfinished, text);
        return true;
      });
    } catch (error) {
      throw named(path, error);
    }
    isOther = true;
  }
  const poke = join(folder, '.weft');
  if (isOther) await writeFile(poke, '').then(() => rm(poke, { force: true }));
}

function textOf(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null); // there is none
}

/**
 * Puts a program into a folder in the place of one that may be running: those that run go on with the former one.
 * Errors: the system's, with the name of the file.
 */
export async function installProgram(from: string, path: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    const [now, before] = [await readFile(from), await readFile(path).catch(() => null)];
    if (before?.equals(now) === true) return;
    await inPlaceOf(path, async (unfinished) => {
      await copyFile(from, unfinished);
      await chown(unfinished, 0, 0);
      await chmod(unfinished, 0o755);
      return true;
    });
  } catch (error) {
    throw named(path, error);
  }
}

async function inPlaceOf(path: string, make: (unfinished: string) => Promise<boolean>): Promise<boolean> {
  const unfinished = `${path}${UNFINISHED}`;
  try {
    if (!(await make(unfinished))) return false;
    await rename(unfinished, path);
    return true;
  } finally {
    await rm(unfinished, { force: true });
  }
}

/** Tells of whatever happens in a folder, until it is closed; where it cannot be watched nothing is told. */
export function watchConfs(folder: string, changed: () => void): Cancel {
  try {
    const watcher = watch(folder, { persistent: false }, () => changed());
    watcher.on('error', () => watcher.close()); // the folder is gone: it is looked at from time to time
    return () => watcher.close();
  } catch {
    return () => {}; // the same
  }
}
