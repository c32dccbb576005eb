import { open, stat } from 'node:fs/promises';
import { waitUntil } from '#testbed/wait.ts';
import { expect } from './check.ts';

const WRITE_WAIT_MS = 2_000;

/** The present length of a log, to look only at what comes after. */
export async function logEnd(path: string): Promise<number> {
  return (await stat(path)).size;
}

/** What a log gained since `from`. */
export async function logSince(path: string, from: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const length = Math.max(0, (await file.stat()).size - from);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, from);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** The first line since `from` that all `patterns` match; fails the check when none comes within two seconds. */
export async function expectLogLine(path: string, from: number, patterns: readonly RegExp[]): Promise<string> {
  const find = async (): Promise<string | null> => {
    const lines = (await logSince(path, from)).split('\n');
    return lines.find((line) => patterns.every((pattern) => pattern.test(line))) ?? null;
  };
  const line = await waitUntil('line in the log', WRITE_WAIT_MS, find).catch(() => null);
  expect(line !== null, `no line in ${path} matches ${patterns.join(' and ')}`);
  return line;
}
