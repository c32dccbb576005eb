import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { removeIfEmpty } from './run-dir.ts';

/** One for the machine: a workload of one mesh must not read the keys of another one either. */
const REGISTER = '/run/weft-private';

/**
 * Writes down that a file or directory holds keys, tokens or sockets of a mesh, so that no workload started later on this
 * machine sees it. It stays written down after the end of this process, since keys outlive it. Returns false where this process
 * may not write there: whoever is not root has no workloads either.
 */
export function registerPrivate(paths: readonly string[], register = REGISTER): boolean {
  try {
    mkdirSync(register, { recursive: true, mode: 0o700 });
    for (const path of paths) {
      const real = realpathSync(path);
      writeFileSync(join(register, createHash('sha256').update(real).digest('hex').slice(0, 16)), real, { mode: 0o600 });
    }
    return true;
  } catch {
    return false;
  }
}

/** What was written down on this machine and is still there. */
export function privatePlaces(register = REGISTER): string[] {
  const places = entriesOf(register).flatMap((name) => {
    const path = readFileSync(join(register, name), 'utf8');
    if (existsSync(path)) return [path];
    rmSync(join(register, name), { force: true }); // a mesh that was removed
    return [];
  });
  if (places.length === 0) removeIfEmpty(register);
  return places;
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // nothing was ever written down
  }
}
