import { createHash, hash } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { named } from '#model/system-error.ts';

const LIST = 'list';
const PIECE = '.piece';
const UNFINISHED = '.unfinished';
const MODE = 0o600;
const DIRECTORY_MODE = 0o700;

/** What the list begins with: the SHA-256 of the rest. */
const CHECKED = /^([0-9a-f]{64})\n/;

/** The list that was written last; null: there is none. Errors: Error when it is damaged; the system's. */
export async function readList(directory: string): Promise<string | null> {
  const text = await readFile(join(directory, LIST), 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  const [head = '', sum] = CHECKED.exec(text) ?? [];
  const rest = text.slice(head.length);
  if (sum === undefined || hash('sha256', rest) !== sum) throw new Error(`${join(directory, LIST)} is not as it was written`);
  return rest;
}

/** A piece by its name. Errors: Error when it is damaged; the system's. */
export async function readPiece(directory: string, id: string): Promise<Buffer> {
  const path = join(directory, `${id}${PIECE}`);
  const bytes = await readFile(path);
  if (idOf(bytes) !== id) throw new Error(`${path} is not as it was written`);
  return bytes;
}

/** Writes a piece, on the disk when this returns, and returns its name. Errors: the system's, with the name of the file. */
export function writePiece(directory: string, bytes: Uint8Array): string {
  mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  const id = idOf(bytes);
  replace(join(directory, `${id}${PIECE}`), bytes);
  return id;
}

/** Writes the list in the place of the one before, then removes the pieces that it does not name. */
export function writeList(directory: string, list: string, ids: readonly string[]): void {
  mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  replace(join(directory, LIST), Buffer.from(`${hash('sha256', list)}\n${list}`));
  const kept = new Set([LIST, ...ids.map((id) => `${id}${PIECE}`)]);
  for (const name of readdirSync(directory)) if (!kept.has(name)) rmSync(join(directory, name), { force: true });
}

function idOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function replace(path: string, bytes: Uint8Array): void {
  const unfinished = `${path}${UNFINISHED}`;
  try {
    const file = openSync(unfinished, 'w', MODE);
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw named(path, error);
  }
}
