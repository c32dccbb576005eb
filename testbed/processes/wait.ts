import { setTimeout as sleep } from 'node:timers/promises';
import { WeftError } from '#model/error.ts';
import type { Child } from './child.ts';

const POLL_MS = 50;

/**
 * Asks `ask` every 50 ms until it answers something but null or false, and returns that.
 * Errors: WEFT_TESTBED_TIMEOUT, naming `what` and the last error `ask` threw; also when `signal` is aborted.
 */
export async function waitUntil<Answer>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<Answer | null | false> | Answer | null | false,
  signal?: AbortSignal,
): Promise<Answer> {
  const deadlineMs = performance.now() + timeoutMs;
  let lastError: unknown;
  while (performance.now() < deadlineMs && signal?.aborted !== true) {
    try {
      const answer = await ask();
      if (answer !== null && answer !== false) return answer;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await sleep(POLL_MS);
  }
  const why = lastError instanceof Error ? ` (${lastError.message})` : '';
  const when = signal?.aborted === true ? 'before the interruption' : `within ${timeoutMs / 1000} s`;
  throw new WeftError('WEFT_TESTBED_TIMEOUT', `no ${what} ${when}${why}`, {
    cause: lastError,
    remedy: 'read the logs of this run',
  });
}

/** The task's result, or an error when it takes longer than `timeoutMs`. The task is not stopped. */
export async function within<Result>(what: string, timeoutMs: number, task: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new WeftError('WEFT_TESTBED_TIMEOUT', `${what} took longer than ${timeoutMs / 1000} s`, {
      remedy: 'read the logs of this run',
    });
    timer = setTimeout(() => reject(error), timeoutMs);
  });
  return Promise.race([task, late]).finally(() => clearTimeout(timer));
}

/** `waitUntil` for a process that is starting: fails at once with WEFT_TESTBED_APP when it ends instead. */
export async function waitStarted(child: Child, what: string, timeoutMs: number, ask: () => Promise<boolean>): Promise<void> {
  const ended = new AbortController();
  void child.ended.then(() => ended.abort());
  try {
    await waitUntil(what, timeoutMs, ask, ended.signal);
  } catch (error) {
    throw child.ending() === null ? error : endedEarly(child);
  }
}

/** The error for a process that ended before it was of any use. */
export function endedEarly(child: Child): WeftError {
  const ending = child.ending();
  return new WeftError(
    'WEFT_TESTBED_APP',
    `${child.name} ended before it was ready (${ending?.signal ?? `exit code ${ending?.code}`})`,
    {
      remedy: `read ${child.logPath}`,
    },
  );
}
