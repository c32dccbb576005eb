import { backoffMs, UNSPREAD } from '#model/resilience/retry.ts';
import { CONTROL } from '#model/settings/control-planes.ts';

/** How a process ended. */
export type Ending = { code: number | null; signal: string | null };

/** What follows when a part of the mesh ends by itself. */
export type AfterEnding =
  /** It left on purpose, or never worked: the mesh ends, with this exit code. */
  { kind: 'end'; exitCode: number } | { kind: 'restart'; delayMs: number };

/**
 * Decides about a part that ended without being told to.
 * `ready`: the mesh was up before; `ranMs`: how long it ran; `failures`: how often it ended before, in a row.
 */
export function afterEnding(ending: Ending, state: { ready: boolean; ranMs: number; failures: number }): AfterEnding {
  if (ending.code === 0) return { kind: 'end', exitCode: 0 };
  if (!state.ready) return { kind: 'end', exitCode: 1 };
  const failures = failuresBefore(state);
  const backoff = { firstMs: CONTROL.restartFirstMs, maxMs: CONTROL.restartMaxMs };
  return { kind: 'restart', delayMs: backoffMs(failures + 1, backoff, UNSPREAD) };
}

/** Endings in a row that still count: none after a healthy run. */
export function failuresBefore({ ranMs, failures }: { ranMs: number; failures: number }): number {
  return ranMs >= CONTROL.stableMs ? 0 : failures;
}

/** How a process ended, in words. */
export function describeEnding({ code, signal }: Ending): string {
  return signal === null ? `with exit code ${code ?? 'unknown'}` : `by ${signal}`;
}
