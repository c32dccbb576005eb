import type { RawValueMatch } from '#control-plane/mesh/request-routes/documents.ts';
import type { RawRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { NamedService } from '#model/mesh/service.ts';
import type { DestinationSettings } from '#model/waypoint/destination-settings.ts';
import type { Fault, GlobalLimit, RateLimit } from '#model/waypoint/traffic.ts';

/** The kinds that a policy can be about. */
export const TARGET_KINDS = ['Service', 'ServiceEntry', 'HTTPRoute', 'GRPCRoute', 'Gateway'] as const;

/** What it is about, in its own namespace. */
export type TrafficTarget = {
  kind: (typeof TARGET_KINDS)[number];
  name: string;
  /** A port of the Service or ServiceEntry, or a rule of the route, by name; null: all of it. */
  section: string | null;
};

/** A rate limit whose service has not been looked up. */
export type WrittenLimit = Omit<RateLimit, 'global'> & {
  /** Null: none of its rules is global. `service` null: it names none. */
  global: (Omit<GlobalLimit, 'server'> & { service: NamedService | null }) | null;
};

/** A policy; nothing it refers to has been looked up yet. */
export type TrafficPolicyResource = {
  kind: 'TrafficPolicy';
  metadata: Metadata;
  targets: readonly TrafficTarget[];
  rateLimit: WrittenLimit | null;
  fault: Fault | null;
  settings: DestinationSettings;
};

/** Which requests are meant, as written. */
export type RawTrafficMatch = {
  methods?: string[];
  path?: { type: 'Exact' | 'PathPrefix' | 'RegularExpression'; value: string };
  headers?: RawValueMatch[];
  queryParams?: RawValueMatch[];
  source?: { namespaces?: string[]; serviceAccounts?: string[] };
};

/** What tells buckets apart, as written. */
export type RawKey = {
  type: 'SourceServiceAccount' | 'SourceNamespace' | 'SourceIP' | 'Header' | 'QueryParam' | 'JWTClaim' | 'Method' | 'Path';
  name?: string;
  path?: string;
};

/** A rule of a rate limit, as written. */
export type RawLimitRule = {
  name: string;
  scope: 'Local' | 'Global';
  match?: RawTrafficMatch;
  key?: RawKey[];
  limit: { requests: number; window: string; burst?: number; perReplica: boolean };
  shadow: boolean;
};

/** A fault, as written. */
export type RawFault = {
  match?: RawTrafficMatch;
  delay?: { duration: string; percentage: number };
  abort?: { httpStatus?: number; grpcStatus?: number; percentage: number };
};

/** Limits of a service, as written. */
export type RawCircuitBreaker = {
  maxConnections?: number;
  maxPendingRequests?: number;
  maxRequests?: number;
  maxConcurrentRetries?: number;
  maxRequestsPerConnection?: number;
};

/** When an endpoint is left out, as written. */
export type RawDetection = {
  consecutiveErrors?: number;
  consecutiveGatewayErrors?: number;
  interval?: string;
  baseEjectionTime?: string;
  maxEjectionTime?: string;
  maxEjectionPercent?: number;
  minHealthPercent?: number;
  successRate?: { stdevFactor?: number; minimumHosts?: number; requestVolume?: number };
};

/** A rate limit, as written. */
export type RawRateLimit = {
  rules: RawLimitRule[];
  responseHeaders: 'Off' | 'DraftVersion03';
  service?: { name: string; namespace?: string; port: number };
  timeout: string;
  onServiceError: 'Allow' | 'Deny';
};

/** Defaults of the schema are already filled in. */
export type RawTrafficPolicy = {
  metadata: RawMetadata;
  spec: {
    targetRefs: { group: string; kind: string; name: string; sectionName?: string }[];
    rateLimit?: RawRateLimit;
    faultInjection?: RawFault;
    circuitBreaker?: RawCircuitBreaker;
    outlierDetection?: RawDetection;
    retryBudget?: RawRetryBudget;
  };
};
