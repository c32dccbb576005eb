import { WeftError } from '#model/error.ts';
import type { Child } from '#testbed/child.ts';
import { waitUntil } from '#testbed/wait.ts';

/** `waitUntil` for a process that is starting: fails at once with WEFT_DEMO_APP when it ends instead. */
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
    'WEFT_DEMO_APP',
    `${child.name} ended before it was ready (${ending?.signal ?? `exit code ${ending?.code}`})`,
    {
      remedy: `read ${child.logPath}`,
    },
  );
}
