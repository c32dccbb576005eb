import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/**
 * Limits and times of connections; durations as in Go.
 * What is not here nobody reads: the table of fields says of each what becomes of it.
 */
export type RawConnectionPool = {
  tcp?: { maxConnections?: number; connectTimeout?: string };
  http?: {
    http1MaxPendingRequests?: number;
    http2MaxRequests?: number;
    maxRequestsPerConnection?: number;
    maxRetries?: number;
    idleTimeout?: string;
  };
};

/** When an endpoint is left out. Null stands where wrappers of protobuf are written so. */
export type RawOutlierDetection = {
  splitExternalLocalOriginErrors?: boolean;
  consecutiveLocalOriginFailures?: number | null;
  consecutiveGatewayErrors?: number | null;
  consecutive5xxErrors?: number | null;
  interval?: string;
  baseEjectionTime?: string;
  maxEjectionPercent?: number;
  minHealthPercent?: number;
};

/** Blocks that ports have of their own. */
export type RawBlocks = {
  tls?: { mode?: 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL' };
  connectionPool?: RawConnectionPool;
  outlierDetection?: RawOutlierDetection;
};

/** What of a trafficPolicy is looked at. */
export type RawTrafficSettings = RawBlocks & {
  retryBudget?: { percent?: number | null; minRetryConcurrency?: number };
  portLevelSettings?: (RawBlocks & { port?: { number?: number } })[];
};

/** A name for some endpoints. */
export type RawSubset = { name: string; labels?: Record<string, string>; trafficPolicy?: RawTrafficSettings };

/** The document, once its schema has passed. */
export type RawDestinationRule = {
  metadata: RawMetadata;
  spec?: {
    host: string;
    exportTo?: string[];
    workloadSelector?: object;
    trafficPolicy?: RawTrafficSettings;
    subsets?: RawSubset[];
  };
};
