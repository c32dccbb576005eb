import { open, stat } from 'node:fs/promises';
import type { Bookshop } from '#testbed/apps/bookshop.ts';
import { waitUntil } from '#testbed/processes/wait.ts';

/** One check: something the mesh promises, shown from outside. */
export type Check = {
  name: string;
  /** The path (README.md names them) that it is about; `-` for those about several. */
  path: string;
  timeoutMs: number;
  /** What was seen, in one line. Rejects when it is not as promised; a `CheckFailure` says why. */
  run(mesh: Bookshop): Promise<string>;
};

/** How one check went; `detail` is what was seen, or why it failed. */
export type CheckResult = { name: string; path: string; ok: boolean; detail: string };

/** What a check saw is not what the mesh promises. */
export class CheckFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CheckFailure';
  }
}

/** Fails the check with `message` unless `condition` holds. */
export function expect(condition: boolean, message: string): asserts condition {
  if (!condition) throw new CheckFailure(message);
}

/** Fails the check unless `seen` is `wanted`; `what` names the thing. */
export function expectEqual(seen: string | number | null | undefined, wanted: string | number | null, what: string): void {
  expect(seen === wanted, `${what} is ${String(seen)}, not ${String(wanted)}`);
}

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
