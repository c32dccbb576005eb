import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Makes a directory with all above it, for its owner alone. Errors: the system's, about the one that could not be made. */
export function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    // Of a read-only file system, Node.js says that the directory is not there.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT')
      mkdirSync(firstMissing(resolve(path)), { mode: 0o700 });
    throw error;
  }
}

function firstMissing(path: string): string {
  const above = dirname(path);
  return existsSync(above) || above === path ? path : firstMissing(above);
}

/** Returns when a file can be put at a path, as far as can be told before. Errors: the system's, about its directory. */
export function requireFolder(path: string): void {
  accessSync(dirname(resolve(path)), constants.W_OK);
}
