import { type AttemptPolicy, DEFAULT_ATTEMPTS } from '#model/resilience/attempts.ts';
import type { RetryPause } from '#model/resilience/retry.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { HttpRetry } from '#model/waypoint/filters.ts';

/** What a route asks for when a try fails. */
export type RouteRetry = {
  /** Statuses that are a failure. */
  readonly codes: ReadonlySet<number>;
  /** Statuses of gRPC in the head of a response, which is then all of it, that are one; null: none is looked at. */
  readonly grpcStatuses: ReadonlySet<number> | null;
  readonly policy: AttemptPolicy;
  readonly pause: RetryPause;
};

/**
 * A status that the route lists is asked for by name, so it holds for every method. What ends without an answer may have had
 * its effect: only methods that can be repeated are, unless surely nothing was processed.
 */
export function compileRetry({ codes, attempts, backoffMs, virtual }: HttpRetry): RouteRetry {
  const grpcStatuses = virtual?.grpcStatuses ?? [];
  return {
    codes: new Set(codes),
    grpcStatuses: grpcStatuses.length === 0 ? null : new Set(grpcStatuses),
    policy: {
      ...DEFAULT_ATTEMPTS,
      triesMax: 1 + Math.min(attempts ?? WAYPOINT.routeRetries, WAYPOINT.routeRetriesMax),
      after: ['never-sent', 'not-processed', 'status'],
      whenRepeatable: virtual?.unanswered === false ? [] : ['stale', 'perhaps-processed', 'too-slow'],
      keptBodyBytesMax: WAYPOINT.retriedBodyBytesMax,
    },
    pause: pauseOf(backoffMs, virtual?.intervalMs ?? null),
  };
}

function pauseOf(leastMs: number | null, intervalMs: number | null): RetryPause {
  if (leastMs !== null) return { leastMs, growthMs: leastMs, maxMs: 10 * leastMs };
  if (intervalMs !== null) return { leastMs: 0, growthMs: intervalMs, maxMs: 10 * intervalMs };
  return { leastMs: 0, growthMs: WAYPOINT.retryPauseMs, maxMs: WAYPOINT.retryPauseMaxMs };
}
