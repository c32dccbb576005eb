import { type AttemptPolicy, DEFAULT_ATTEMPTS } from '#model/resilience/attempts.ts';
import type { RetryPause } from '#model/resilience/retry.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { HttpRetry } from '#model/waypoint/filters.ts';

/** What a route asks for when a try fails. */
export type RouteRetry = {
  /** Statuses that are a failure. */
  readonly codes: ReadonlySet<number>;
  readonly policy: AttemptPolicy;
  readonly pause: RetryPause;
};

/**
 * A status that the route lists is asked for by name, so it holds for every method. What ends without an answer may have had
 * its effect: only methods that can be repeated are, unless surely nothing was processed.
 */
export function compileRetry({ codes, attempts, backoffMs }: HttpRetry): RouteRetry {
  return {
    codes: new Set(codes),
    policy: {
      ...DEFAULT_ATTEMPTS,
      triesMax: 1 + Math.min(attempts ?? WAYPOINT.routeRetries, WAYPOINT.routeRetriesMax),
      after: ['never-sent', 'not-processed', 'status'],
      whenRepeatable: ['stale', 'perhaps-processed', 'too-slow'],
      keptBodyBytesMax: WAYPOINT.retriedBodyBytesMax,
    },
    pause:
      backoffMs === null
        ? { leastMs: 0, growthMs: WAYPOINT.retryPauseMs, maxMs: WAYPOINT.retryPauseMaxMs }
        : { leastMs: backoffMs, growthMs: backoffMs, maxMs: 10 * backoffMs },
  };
}
