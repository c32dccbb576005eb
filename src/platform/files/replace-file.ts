import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { named } from '#model/system-error.ts';

/** For root alone unless told otherwise. */
const MODE = 0o600;

/**
 * Puts a text in the place of a file's: whoever reads it finds the old text or the new one, also when the disk is full, on which
 * nothing is left of the attempt. What says so already is left as it is: an agent starts anew on a full disk. Errors: the system's, with the name of the file.
 */
export async function replaceFile(path: string, text: string, mode = MODE): Promise<void> {
  if (says(path, text)) return;
  const unfinished = unfinishedOf(path);
  try {
    await writeFile(unfinished, text, { mode });
    await rename(unfinished, path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw named(path, error);
  }
}

/** The same at once. */
export function replaceFileSync(path: string, text: string): void {
  if (says(path, text)) return;
  const unfinished = unfinishedOf(path);
  try {
    writeFileSync(unfinished, text, { mode: MODE });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw named(path, error);
  }
}

function says(path: string, text: string): boolean {
  try {
    return readFileSync(path, 'utf8') === text;
  } catch {
    return false; // not there, or not readable: it is made anew
  }
}

function unfinishedOf(path: string): string {
  return `${path}.new`;
}
