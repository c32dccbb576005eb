import type { RulePolicy, RuleSettings } from '#control-plane/mesh/destination-rules.ts';
import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import type { OutlierDetection } from '#model/waypoint/destination-settings.ts';
import { readBalancer } from './read-balancer.ts';
import { readLocality } from './read-locality.ts';
import { readTls } from './read-tls.ts';
import type { RawBlocks, RawConnectionPool, RawOutlierDetection, RawTrafficSettings } from './schema.ts';

// Fixed by the API (Istio's, and where it says nothing Envoy's): what a field is that nobody wrote.
const INTERVAL_MS = 10_000;
const BASE_EJECTION_MS = 30_000;
const MAX_EJECTION_MS = 300_000;
const FAILURES = 5;
const MAX_EJECTION_PERCENT = 10;
const RETRY_PERCENT = 20;
const MIN_RETRY_CONCURRENCY = 3;

/** Null: nothing is said. */
export function readPolicy(policy: RawTrafficSettings | undefined): RulePolicy | null {
  if (policy === undefined) return null;
  const { retryBudget, portLevelSettings = [] } = policy;
  const budget = {
    percent: retryBudget?.percent ?? RETRY_PERCENT,
    of: { kind: 'active', minConcurrency: retryBudget?.minRetryConcurrency ?? MIN_RETRY_CONCURRENCY },
  } as const;
  return {
    settings: { ...readBlocks(policy), ...(retryBudget !== undefined && { retryBudget: budget }) },
    ports: portLevelSettings.flatMap(({ port, ...blocks }) =>
      port?.number === undefined ? [] : [{ port: port.number, settings: readBlocks(blocks) }],
    ),
  };
}

/** Blocks that are not written are absent, so that those of the level above hold. */
function readBlocks({ loadBalancer, connectionPool, outlierDetection, tls: written }: RawBlocks): RuleSettings {
  const tls = readTls(written);
  return {
    ...(tls !== null && { tls }),
    // Also an empty one: it hides that of the level above.
    ...(loadBalancer !== undefined && {
      balancer: readBalancer(loadBalancer),
      locality: readLocality(loadBalancer.localityLbSetting),
    }),
    ...(connectionPool !== undefined && readPool(connectionPool)),
    ...(outlierDetection !== undefined && { outlierDetection: readDetection(outlierDetection) }),
  };
}

/** Both parts are there, so that a block that says one thing of them hides all of another block. */
function readPool({ tcp = {}, http = {} }: RawConnectionPool): Pick<RuleSettings, 'circuitBreaker' | 'connection'> {
  return {
    circuitBreaker: {
      maxConnections: limit(tcp.maxConnections),
      maxPendingRequests: limit(http.http1MaxPendingRequests),
      maxRequests: limit(http.http2MaxRequests),
      maxRetries: limit(http.maxRetries),
      maxRequestsPerConnection: limit(http.maxRequestsPerConnection),
    },
    connection: {
      connectTimeoutMs: milliseconds(tcp.connectTimeout),
      idleTimeoutMs: milliseconds(http.idleTimeout),
      // 0s is written to have none.
      tcpIdleTimeoutMs: milliseconds(tcp.idleTimeout) || null,
      maxConnectionMs: milliseconds(tcp.maxConnectionDuration),
    },
  };
}

/** An empty block asks for detection with all of its defaults. */
function readDetection(detection: RawOutlierDetection): OutlierDetection {
  const { splitExternalLocalOriginErrors: isSplit, consecutiveLocalOriginFailures } = detection;
  const baseEjectionMs = milliseconds(detection.baseEjectionTime) ?? BASE_EJECTION_MS;
  return {
    consecutive5xx: detection.consecutive5xxErrors ?? FAILURES,
    consecutiveGatewayErrors: detection.consecutiveGatewayErrors ?? 0,
    consecutiveLocalFailures: isSplit === true ? (consecutiveLocalOriginFailures ?? FAILURES) : null,
    intervalMs: milliseconds(detection.interval) ?? INTERVAL_MS,
    baseEjectionMs,
    // Envoy's bound, which no field changes; a longer first time is its own bound.
    maxEjectionMs: Math.max(MAX_EJECTION_MS, baseEjectionMs),
    // 0 cannot be told from what nobody wrote.
    maxEjectionPercent: detection.maxEjectionPercent || MAX_EJECTION_PERCENT,
    minHealthPercent: detection.minHealthPercent ?? 0,
  };
}

/** 0 is what a number is that nobody wrote. */
function limit(written: number | undefined): number | null {
  return written === undefined || written === 0 ? null : written;
}

/** The check has refused what is none. */
function milliseconds(text: string | undefined): number | null {
  return text === undefined ? null : goDurationMs(text);
}
