import type { Clock } from './clock.ts';

/** What a promise resolves with, or null when it does not within so long. Errors: those of the promise. */
export async function within<Result>(clock: Clock, deadlineMs: number, done: Promise<Result>): Promise<Result | null> {
  const { promise: late, resolve } = Promise.withResolvers<null>();
  const cancel = clock.after(deadlineMs, () => resolve(null));
  try {
    return await Promise.race([done, late]);
  } finally {
    cancel();
  }
}
