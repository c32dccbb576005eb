import type { BigIntStats } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '#model/error.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** One configuration file as it was read. */
export type ScannedFile = {
  text: string;
  /** Changes with every write and every file put in its place. */
  version: string;
};

/** What one look at a directory found. */
export type Scan = {
  files: ReadonlyMap<string, ScannedFile>;
  /** Every folder found, to be watched: path → identity, another one once a new folder stands in its place. */
  directories: ReadonlyMap<string, string>;
  /** Files and folders that could not be read. */
  problems: readonly WeftError[];
};

/**
 * Reads every *.yaml and *.yml file below `root`, following links, leaving out what begins with a dot. Files
 * whose version is that in `before` are not read again; one that cannot be read keeps what it said before.
 * Errors: WEFT_CONFIG_DIRECTORY when `root` itself cannot be read.
 */
export async function scanDirectory(root: string, before: ReadonlyMap<string, ScannedFile>): Promise<Scan> {
  const files = new Map<string, ScannedFile>();
  const directories = new Map<string, string>();
  const problems: WeftError[] = [];
  const visited = new Set<string>();
  const visit = async (directory: string): Promise<void> => {
    const { dev, ino } = await stat(directory, { bigint: true });
    const identity = `${dev} ${ino}`;
    if (visited.has(identity)) return;
    visited.add(identity);
    directories.set(directory, identity);
    for (const name of (await readdir(directory)).sort()) {
      if (!name.startsWith('.')) await take(join(directory, name), name);
    }
  };
  const take = async (path: string, name: string): Promise<void> => {
    try {
      const status = await stat(path, { bigint: true });
      if (status.isDirectory()) await visit(path);
      else if (/\.ya?ml$/.test(name) && status.isFile()) files.set(path, await readStable(path, status, before.get(path)));
    } catch (cause) {
      // Gone since the folder was listed: not there is not a problem.
      if (isMissing(cause)) return;
      problems.push(unreadable(path, cause));
      const kept = before.get(path);
      if (kept !== undefined) files.set(path, kept);
    }
  };
  try {
    await visit(root);
  } catch (cause) {
    throw missingRoot(root, cause);
  }
  return { files, directories, problems };
}

async function readStable(path: string, status: BigIntStats, before: ScannedFile | undefined): Promise<ScannedFile> {
  let current = status;
  for (let reads = 1; ; reads++) {
    const version = versionOf(current);
    if (before?.version === version) return before;
    if (current.size > RESOURCE.fileBytesMax) throw new Error(`it is larger than ${RESOURCE.fileBytesMax} bytes`);
    const text = await readFile(path, 'utf8');
    current = await stat(path, { bigint: true });
    if (versionOf(current) === version || reads === RESOURCE.readsMax) return { text, version };
  }
}

function versionOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(' ');
}

function isMissing(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR');
}

function unreadable(path: string, cause: unknown): WeftError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new WeftError('WEFT_CONFIG_FILE', `cannot read ${path}: ${why}`, {
    cause,
    remedy: 'make it readable; until then what it said before stays in force',
  });
}

function missingRoot(root: string, cause: unknown): WeftError {
  const message = isMissing(cause)
    ? `the configuration directory ${root} does not exist`
    : `cannot read the configuration directory ${root}`;
  return new WeftError('WEFT_CONFIG_DIRECTORY', message, {
    cause,
    remedy: 'create it, or name the folder that holds your YAML files',
  });
}
