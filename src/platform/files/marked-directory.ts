import { randomUUID } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { WeftError } from '#model/error.ts';
import {
  claimOf,
  isOwnFile,
  isOwnFolder,
  isTelling,
  MARK_NAME,
  type Mark,
  type MarkedKind,
  parseMark,
} from '#model/instance/mark.ts';
import { namingFile } from '#model/system-error.ts';
import { makeDirectory } from './make-directory.ts';
import { removeIfEmpty } from './run-dir.ts';

/** A directory that is to be used as one of ours. */
export type WantedDirectory = { kind: MarkedKind; node?: string; runDir?: string };

/**
 * Makes a directory of the mesh with its mark, or takes one that is ours, empty, or of a version without marks. A run directory
 * with files of others is used as it is, and never removed. Errors: WEFT_FOREIGN_DIRECTORY.
 */
export function claimDirectory(directory: string, { kind, node, runDir }: WantedDirectory): void {
  makeDirectory(directory);
  const path = realpathSync(directory);
  const names = readdirSync(path);
  const mark = readMark(path);
  const wanted = { kind, path, node: node ?? null };
  const claim = claimOf(wanted, mark, names);
  if (claim === 'foreign') throw foreign(directory, kind, names);
  const owner = runDir === undefined ? null : realPlace(runDir);
  if (claim === 'use' || (claim === 'ours' && mark?.runDir === owner)) return;
  writeMark(path, { ...wanted, instance: mark?.instance ?? randomUUID(), runDir: owner });
}

/** Marks a directory of a version without marks, if it is there and has what only Weft calls so; leaves any other alone. */
export function adoptDirectory(directory: string, wanted: WantedDirectory): void {
  if (isDirectory(directory) && readdirSync(directory).some((name) => isTelling(wanted.kind, name)))
    claimDirectory(directory, wanted);
}

/** The path without links, also of what is not there (any more). */
export function realPlace(path: string): string {
  const whole = resolve(path);
  try {
    return realpathSync(whole);
  } catch {
    return whole === '/' ? whole : join(realPlace(dirname(whole)), basename(whole));
  }
}

/** In one step, so that nobody reads half a mark. */
function writeMark(path: string, mark: Mark): void {
  const unfinished = join(path, `${MARK_NAME}.${process.pid}`);
  try {
    namingFile(unfinished, () => writeFileSync(unfinished, `${JSON.stringify(mark, null, 2)}\n`, { mode: 0o600 }));
    renameSync(unfinished, join(path, MARK_NAME));
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}

/** The mark of a directory, wherever it was written; null: it has none. */
export function readMark(directory: string): Mark | null {
  try {
    return parseMark(readFileSync(join(directory, MARK_NAME), 'utf8'));
  } catch {
    return null;
  }
}

/** The mark of a directory that is ours and of this kind; null for any other, a copy of one of ours too. */
export function ownMark(directory: string, kind: MarkedKind): Mark | null {
  const path = resolve(directory);
  if (!isDirectory(path)) return null;
  const mark = readMark(path);
  return mark !== null && mark.kind === kind && mark.path === realPlace(path) ? mark : null;
}

/** Whether a directory is there; a link counts as what it leads to. */
export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/**
 * Removes what Weft itself put into a directory that is ours, and the directory when nothing else is in it. Returns what stays,
 * by path. Does nothing, and returns nothing, where the directory is not ours.
 */
export function removeMarked(directory: string, kind: MarkedKind): string[] {
  try {
    return ownMark(directory, kind) === null ? [] : removeOwn(directory, kind);
  } catch (error) {
    // A mesh that ends by itself at this moment takes the same files away.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

function removeOwn(directory: string, kind: MarkedKind): string[] {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
      if (isOwnFile(kind, name) && name !== MARK_NAME) rmSync(path, { force: true });
    } else if (isOwnFolder(kind, name)) removeBelow(directory, name, kind);
  }
  // The mark stays for as long as anything does: it says whose the rest was.
  const left = readdirSync(directory).filter((name) => name !== MARK_NAME);
  if (left.length > 0) return left.map((name) => join(directory, name));
  rmSync(join(directory, MARK_NAME), { force: true });
  removeIfEmpty(directory);
  return [];
}

function removeBelow(directory: string, folder: string, kind: MarkedKind): void {
  for (const entry of readdirSync(join(directory, folder), { withFileTypes: true })) {
    if (!entry.isDirectory() && isOwnFile(kind, `${folder}/${entry.name}`))
      rmSync(join(directory, folder, entry.name), { force: true });
  }
  removeIfEmpty(join(directory, folder));
}

const PURPOSE: Readonly<Record<MarkedKind, string>> = {
  run: 'sockets of the mesh',
  node: 'files of a node',
  waypoints: 'files of waypoints',
  state: 'the state of a control plane',
};

const OPTION: Readonly<Record<MarkedKind, string>> = {
  run: '--run-dir',
  node: '--run-dir or --node',
  waypoints: '--run-dir or --socket',
  state: '--state-dir',
};

function foreign(directory: string, kind: MarkedKind, names: readonly string[]): WeftError {
  const [first = ''] = names;
  return new WeftError(
    'WEFT_FOREIGN_DIRECTORY',
    `${directory} holds something that is not ${PURPOSE[kind]} (${first}${names.length > 1 ? ` and ${names.length - 1} more` : ''})`,
    { remedy: `choose a directory of its own with ${OPTION[kind]}` },
  );
}
