import { closeSync, fstatSync, ftruncateSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { WeftError } from '#model/error.ts';
import { refusalOf } from '#model/system-error.ts';
import { ERRNO, errno, errnoName, flock } from '#platform/ffi/libc.ts';

/** Fixed by the kernel: flock(2) for oneself, or beside others that ask, and without waiting. */
const LOCK_EX_NB = 2 | 4;
const LOCK_SH_NB = 1 | 4;

/** A file that this process holds until it ends, however it ends: the kernel lets go of it then. */
export type HeldLock = { release(): void };

/**
 * Takes the lock of a file, which is made if need be, and writes `text` into it. Null while another process holds it.
 * Errors: WEFT_LOCK when the file cannot be had, or not be written (a full disk): then nothing is held.
 */
export function takeLock(path: string, text: string): HeldLock | null {
  for (;;) {
    const fd = openLock(path);
    if (flock(fd, LOCK_EX_NB) !== 0) {
      const code = errno();
      closeSync(fd);
      if (code === ERRNO.again) return null;
      throw unlockable(path, new Error(errnoName(code)));
    }
    // Whoever held it may have removed the file between our opening and our lock: then this is a lock of nothing.
    if (statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino) {
      writeLock(fd, path, text);
      let held = true;
      const release = (): void => {
        if (held) closeSync(fd);
        held = false; // the number may be somebody else's by the next call
      };
      return { release };
    }
    closeSync(fd);
  }
}

/** Whether a process holds the lock of a file; others that ask at the same moment do not count. For that moment nobody can take it. */
export function isLocked(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return false;
  const fd = openSync(path, 'r');
  try {
    return flock(fd, LOCK_SH_NB) !== 0;
  } finally {
    closeSync(fd);
  }
}

/** What the holder wrote; '' when the file is not there. */
export function lockText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function writeLock(fd: number, path: string, text: string): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, text, 0);
  } catch (cause) {
    rmSync(path, { force: true }); // a lock that does not say whose it is would be taken for damage
    closeSync(fd);
    const remedy = 'free some space where the run directory is (df), or check its rights; what runs goes on';
    throw new WeftError('WEFT_LOCK', `cannot write ${path}: ${refusalOf(cause)}`, { cause, remedy });
  }
}

function openLock(path: string): number {
  try {
    return openSync(path, 'a+', 0o600);
  } catch (cause) {
    throw unlockable(path, cause);
  }
}

function unlockable(path: string, cause: unknown): WeftError {
  return new WeftError('WEFT_LOCK', `cannot lock ${path}: ${refusalOf(cause)}`, {
    cause,
    remedy: 'check the rights and the disk of its directory',
  });
}
