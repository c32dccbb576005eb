import type { CircuitBreaker } from '#model/waypoint/destination-settings.ts';

/** What a circuit breaker counts; also the values of the label that says which of its limits was reached. */
export type CircuitLimit = 'connections' | 'pending' | 'requests' | 'retries';

/** Whether nothing more may begin: a limit of null is never reached. */
export function isReached(limit: number | null, underWay: number): boolean {
  return limit !== null && underWay >= limit;
}

/**
 * What one of several parts of a waypoint may have under way, which count by themselves: its share, rounded up, so that no part
 * is left with nothing.
 */
export function breakerOfPart(breaker: CircuitBreaker, parts: number): CircuitBreaker {
  const share = (limit: number | null): number | null => (limit === null ? null : Math.ceil(limit / parts));
  return {
    maxConnections: share(breaker.maxConnections),
    maxPendingRequests: share(breaker.maxPendingRequests),
    maxRequests: share(breaker.maxRequests),
    maxRetries: share(breaker.maxRetries),
    maxRequestsPerConnection: breaker.maxRequestsPerConnection,
  };
}
