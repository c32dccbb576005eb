import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Writes a file of the watched directory in one step, as editors do.
 * Returns the Unix milliseconds right before it appeared.
 */
export async function putConfig(dir: string, name: string, text: string): Promise<number> {
  const unfinished = join(dir, `.${name}.tmp`);
  await writeFile(unfinished, text);
  const atMs = Date.now();
  await rename(unfinished, join(dir, name));
  return atMs;
}

/** Removes a file of the watched directory, if it is there. Returns the Unix milliseconds right before it went. */
export async function dropConfig(dir: string, name: string): Promise<number> {
  const atMs = Date.now();
  await rm(join(dir, name), { force: true });
  return atMs;
}

/** Runs `body` while a file is in the watched directory. */
export async function withConfig<Result>(
  dir: string,
  name: string,
  text: string,
  body: (atMs: number) => Promise<Result>,
): Promise<Result> {
  try {
    return await body(await putConfig(dir, name, text));
  } finally {
    await dropConfig(dir, name);
  }
}
