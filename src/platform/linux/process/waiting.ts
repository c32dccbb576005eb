import { setTimeout as sleep } from 'node:timers/promises';
import { COMMAND } from '#model/settings/host.ts';

/**
 * Asks until the answer is true, at most for `forMs`, in steps that grow to `pauseMsMax`; false when it never was. For what the kernel
 * finishes a moment after the call that asked for it, and tells nobody about.
 */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  forMs: number,
  pauseMsMax: number = COMMAND.pollMs,
): Promise<boolean> {
  const deadlineMs = performance.now() + forMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
    if (await condition()) return true;
    if (performance.now() >= deadlineMs) return false;
    await sleep(pauseMs);
  }
}

/** Runs tasks of the same key one after the other, and of different keys at once. */
export type Serial = <T>(key: string, task: () => Promise<T>) => Promise<T>;

/** A `Serial` that remembers a key only while it has tasks. */
export function createSerial(): Serial {
  const tails = new Map<string, Promise<unknown>>();
  return (key, task) => {
    const result = (tails.get(key) ?? Promise.resolve()).then(task, task);
    const tail = result
      .catch(() => {}) // the caller of the task hears of it
      .then(() => {
        if (tails.get(key) === tail) tails.delete(key);
      });
    tails.set(key, tail);
    return result;
  };
}
