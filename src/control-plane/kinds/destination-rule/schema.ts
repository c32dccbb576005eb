import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/**
 * Limits and times of connections; durations as in Go.
 * What is not here nobody reads: the table of fields says of each what becomes of it.
 */
export type RawConnectionPool = {
  tcp?: { maxConnections?: number; connectTimeout?: string; idleTimeout?: string; maxConnectionDuration?: string };
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

/** By what requests are kept together, and over which table. */
export type RawConsistentHash = {
  httpHeaderName?: string;
  httpCookie?: { name: string; path?: string; ttl?: string; attributes?: { name: string; value?: string }[] };
  useSourceIp?: boolean;
  httpQueryParameterName?: string;
  ringHash?: { minimumRingSize?: number };
  maglev?: { tableSize?: number };
  minimumRingSize?: number;
};

/** How endpoints are preferred by where they are. */
export type RawLocality = {
  enabled?: boolean | null;
  distribute?: { from?: string; to?: Record<string, number> }[];
  failover?: { from?: string; to?: string }[];
  failoverPriority?: string[];
};

/** How endpoints are chosen. */
export type RawLoadBalancer = {
  simple?: 'UNSPECIFIED' | 'LEAST_CONN' | 'RANDOM' | 'PASSTHROUGH' | 'ROUND_ROBIN' | 'LEAST_REQUEST';
  consistentHash?: RawConsistentHash;
  warmup?: { duration?: string; minimumPercent?: number | null; aggression?: number | null };
  warmupDurationSecs?: string;
  localityLbSetting?: RawLocality;
};

/** How endpoints outside of the mesh are spoken to. */
export type RawTls = {
  mode?: 'DISABLE' | 'SIMPLE' | 'MUTUAL' | 'ISTIO_MUTUAL';
  sni?: string;
  subjectAltNames?: string[];
  insecureSkipVerify?: boolean | null;
  credentialName?: string;
  caCertificates?: string;
  caCrl?: string;
};

/** Blocks that ports have of their own. */
export type RawBlocks = {
  tls?: RawTls;
  loadBalancer?: RawLoadBalancer;
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
