import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import type { StateStore } from '#model/effects/state-store.ts';
import { WeftError } from '#model/error.ts';
import { LOCK_NAME, MARK_NAME } from '#model/instance/mark.ts';
import { refusalOf } from '#model/system-error.ts';
import { type HeldLock, lockText, takeLock } from './lock.ts';
import { claimDirectory, type WantedDirectory } from './marked-directory.ts';

const SECRET_MODE = 0o600;
const PUBLIC_MODE = 0o644;
const DIRECTORY_MODE = 0o700;

/**
 * The control plane's state, or what it keeps of waypoints, as files below `directory`, which is made and marked if need be.
 * Errors: WEFT_STATE_DIR, WEFT_FOREIGN_DIRECTORY when it holds something else.
 */
export async function openStateDirectory(directory: string, wanted: WantedDirectory): Promise<StateStore> {
  await attempt(directory, 'made', async () => claimDirectory(directory, wanted));
  const store: StateStore = {
    async read(name) {
      const path = join(directory, name);
      return attempt(path, 'read', async () => {
        try {
          return await readFile(path, 'utf8');
        } catch (error) {
          if (codeOf(error) === 'ENOENT') return null;
          throw error;
        }
      });
    },

    async write(name, text, { secret }) {
      const path = join(directory, name);
      await attempt(path, 'written', () => replaceFile(path, text, secret ? SECRET_MODE : PUBLIC_MODE));
    },

    async remove(name) {
      const path = join(directory, name);
      await attempt(path, 'removed', () => rm(path, { force: true }));
    },

    async list(prefix) {
      return attempt(directory, 'read', async () => {
        const entries = await readdir(directory, { recursive: true, withFileTypes: true });
        const names = entries
          .filter((entry) => entry.isFile())
          .map((entry) => relative(directory, join(entry.parentPath, entry.name)));
        return names
          .map((name) => name.replaceAll(sep, '/'))
          .filter((name) => name.startsWith(prefix) && !name.endsWith(UNFINISHED) && name !== MARK_NAME && name !== LOCK_NAME)
          .sort();
      });
    },
  };
  await probe(store, directory);
  return store;
}

/**
 * Keeps every other control plane from a state directory until this process ends, or lets go of it: two would overwrite one
 * another's files. Errors: WEFT_STATE_HELD with the process that has it, WEFT_LOCK.
 */
export function holdStateDirectory(directory: string): HeldLock {
  const path = join(directory, LOCK_NAME);
  const lock = takeLock(path, `${process.pid}\n`);
  if (lock !== null) return lock;
  throw new WeftError(
    'WEFT_STATE_HELD',
    `the state directory ${directory} is used by the control plane with pid ${lockText(path).trim()}`,
    {
      remedy: 'end that one first, or choose another directory with --state-dir',
    },
  );
}

const UNFINISHED = '.unfinished';
const PROBE_NAME = 'writable';

/** A directory that cannot be written is found at the start, not when the first node registers. */
async function probe(store: StateStore, directory: string): Promise<void> {
  await store.write(PROBE_NAME, '', { secret: true });
  await attempt(directory, 'written', () => rm(join(directory, PROBE_NAME)));
}

/** Either the old text or the new one is there afterwards, also when the machine stops in between. */
async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
  const unfinished = `${path}${UNFINISHED}`;
  // A leftover might have another mode, and an open file keeps the mode it was made with.
  await rm(unfinished, { force: true });
  try {
    const file = await open(unfinished, 'wx', mode);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

async function attempt<T>(path: string, what: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof WeftError) throw error;
    throw new WeftError('WEFT_STATE_DIR', `the control plane's state ${path} cannot be ${what}: ${refusalOf(error)}`, {
      cause: error,
      remedy:
        REMEDIES.get(codeOf(error)) ?? 'choose a directory on a local disk that the control plane may write, with --state-dir',
    });
  }
}

const REMEDIES = new Map([
  ['ENOSPC', 'free some disk space; a few megabytes are enough'],
  ['EDQUOT', 'free some disk space, or raise the quota'],
  ['EROFS', 'choose a state directory on a disk that is not mounted read-only'],
  ['EACCES', 'start the control plane as the owner of the state directory'],
  ['EPERM', 'start the control plane as the owner of the state directory'],
]);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
