/** How a process ended. */
export type Ending = { code: number | null; signal: string | null };

/** What follows when a part of the mesh ends by itself. */
export type AfterEnding =
  /** It left on purpose, or never worked: the mesh ends, with this exit code. */
  { kind: 'end'; exitCode: number } | { kind: 'restart'; delayMs: number };

const RESTART_MS_FIRST = 500;
const RESTART_MS_MAX = 30_000;
/** A part that ran this long counts as healthy again. */
const HEALTHY_MS = 60_000;

/**
 * Decides about a part that ended without being told to.
 * `ready`: the mesh was up before; `ranMs`: how long it ran; `failures`: how often it ended before, in a row.
 */
export function afterEnding(ending: Ending, state: { ready: boolean; ranMs: number; failures: number }): AfterEnding {
  if (ending.code === 0) return { kind: 'end', exitCode: 0 };
  if (!state.ready) return { kind: 'end', exitCode: 1 };
  const failures = failuresBefore(state);
  return { kind: 'restart', delayMs: Math.min(RESTART_MS_MAX, RESTART_MS_FIRST * 2 ** failures) };
}

/** Endings in a row that still count: none after a healthy run. */
export function failuresBefore({ ranMs, failures }: { ranMs: number; failures: number }): number {
  return ranMs >= HEALTHY_MS ? 0 : failures;
}

/** How a process ended, in words. */
export function describeEnding({ code, signal }: Ending): string {
  return signal === null ? `with exit code ${code ?? 'unknown'}` : `by ${signal}`;
}
