import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { readRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import type { DestinationSettings, SuccessRateDetection } from '#model/waypoint/destination-settings.ts';
import type { RawCircuitBreaker, RawDetection, RawTrafficPolicy } from './schema.ts';

// Fixed by the API (config-api 6.3): what a field is that nobody wrote.
const FAILURES = 5;
const INTERVAL_MS = 10_000;
const BASE_EJECTION_MS = 30_000;
const MAX_EJECTION_MS = 300_000;
const MAX_EJECTION_PERCENT = 10;

/** How a service is treated; blocks that are not written are absent. */
export function readSettings({ circuitBreaker, outlierDetection, retryBudget }: RawTrafficPolicy['spec']): DestinationSettings {
  return {
    ...(circuitBreaker && { circuitBreaker: readBreaker(circuitBreaker) }),
    ...(outlierDetection && { outlierDetection: readDetection(outlierDetection) }),
    ...(retryBudget && { retryBudget: readRetryBudget(retryBudget) }),
  };
}

/** Unset is unlimited, and the schema refuses 0. */
function readBreaker(written: RawCircuitBreaker): NonNullable<DestinationSettings['circuitBreaker']> {
  return {
    maxConnections: written.maxConnections ?? null,
    maxPendingRequests: written.maxPendingRequests ?? null,
    maxRequests: written.maxRequests ?? null,
    maxRetries: written.maxConcurrentRetries ?? null,
    maxRequestsPerConnection: written.maxRequestsPerConnection ?? null,
  };
}

/** There is no field that counts failed connections apart, so they count as 503. */
function readDetection(written: RawDetection): NonNullable<DestinationSettings['outlierDetection']> {
  const baseEjectionMs = durationOf(written.baseEjectionTime, BASE_EJECTION_MS);
  return {
    consecutive5xx: written.consecutiveErrors ?? FAILURES,
    consecutiveGatewayErrors: written.consecutiveGatewayErrors ?? 0,
    consecutiveLocalFailures: null,
    intervalMs: durationOf(written.interval, INTERVAL_MS),
    baseEjectionMs,
    maxEjectionMs: durationOf(written.maxEjectionTime, Math.max(MAX_EJECTION_MS, baseEjectionMs)),
    maxEjectionPercent: written.maxEjectionPercent ?? MAX_EJECTION_PERCENT,
    minHealthPercent: written.minHealthPercent ?? 0,
    ...(written.successRate && { successRate: readSuccessRate(written.successRate) }),
  };
}

/** The numbers are those of Envoy, whose factor is in thousandths. */
function readSuccessRate(written: NonNullable<RawDetection['successRate']>): SuccessRateDetection {
  return {
    deviations: (written.stdevFactor ?? 1_900) / 1_000,
    minEndpoints: written.minimumHosts ?? 5,
    minRequests: written.requestVolume ?? 100,
  };
}

/** The check has refused what is out of bounds. */
function durationOf(text: string | undefined, otherwiseMs: number): number {
  return text === undefined ? otherwiseMs : readDurationMs(text);
}
