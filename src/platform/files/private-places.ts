import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeIfEmpty } from './run-dir.ts';

/** One for the machine: a workload of one mesh must not read the keys of another one either. */
const REGISTER = '/run/weft-private';

/** How often a register that another process removes as empty is made again. */
const TRIES = 20;

/**
 * Writes down that a file or directory holds keys, tokens or sockets of a mesh, so that no workload started later on this
 * machine sees it. It stays written down after the end of this process, since keys outlive it. Returns false where this process
 * may not write there: whoever is not root has no workloads either.
 */
export function registerPrivate(paths: readonly string[], register = REGISTER): boolean {
  try {
    for (const path of paths) {
      const real = realpathSync(path);
      writeEntry(register, createHash('sha256').update(real).digest('hex').slice(0, 16), real);
    }
    return true;
  } catch {
    return false;
  }
}

/** In one step: an entry that is read half-written would be taken for one of a mesh that is gone. */
function writeEntry(register: string, name: string, text: string): void {
  const unfinished = join(register, `.${name}.${randomUUID()}`);
  for (let tries = 1; ; tries++) {
    try {
      mkdirSync(register, { recursive: true, mode: 0o700 });
      writeFileSync(unfinished, text, { mode: 0o600 });
      renameSync(unfinished, join(register, name));
      return;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || tries === TRIES) throw error;
    }
  }
}

/** What was written down on this machine and is still there. Other meshes may come and go meanwhile. */
export function privatePlaces(register = REGISTER): string[] {
  const places = entriesOf(register).flatMap((name) => {
    const path = readEntry(join(register, name));
    if (path === null) return [];
    if (!existsSync(path)) forget(register, name, path);
    return existsSync(path) ? [path] : [];
  });
  if (places.length === 0) removeIfEmpty(register);
  return places;
}

/** Removes the entry of a mesh that is gone, unless one came back to the place at this very moment. */
function forget(register: string, name: string, path: string): void {
  const away = join(register, `.${name}.${randomUUID()}`);
  try {
    renameSync(join(register, name), away);
  } catch {
    return; // somebody else forgot it first
  }
  if (existsSync(path)) writeEntry(register, name, path);
  rmSync(away, { force: true });
}

function readEntry(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null; // of a mesh that went meanwhile
    throw error;
  }
}

function entriesOf(register: string): string[] {
  try {
    return readdirSync(register).filter((name) => !name.startsWith('.'));
  } catch {
    return []; // nothing was ever written down
  }
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null;
}
