import type { Scope, ServiceKey } from '#model/mesh/service.ts';
import type { HttpSession } from '#model/waypoint/filters.ts';
import type { UpstreamTls } from '#model/waypoint/upstream-tls.ts';

/** What may be under way towards a destination at one time, in one waypoint; null: any number. */
export type CircuitBreaker = {
  /** Connections to all of its endpoints together. */
  readonly maxConnections: number | null;
  /** Requests that wait for a connection. */
  readonly maxPendingRequests: number | null;
  readonly maxRequests: number | null;
  /** Requests that are sent again. */
  readonly maxRetries: number | null;
  /** Of one connection in all, which is closed then. */
  readonly maxRequestsPerConnection: number | null;
};

/** How connections to a destination are used; milliseconds, null: as everywhere. */
export type ConnectionSettings = {
  readonly connectTimeoutMs: number | null;
  /** Without a request. */
  readonly idleTimeoutMs: number | null;
  /** Of what is not HTTP: without a byte in either direction; null: for good. */
  readonly tcpIdleTimeoutMs: number | null;
  /** Of the same, in all; null: as long as its two ends want. */
  readonly maxConnectionMs: number | null;
};

/** When an endpoint is left out for its failures (W55). */
export type OutlierDetection = {
  /** In a row; 0: not counted. */
  readonly consecutive5xx: number;
  /** 502, 503 and 504, likewise. */
  readonly consecutiveGatewayErrors: number;
  /** Connections that failed, likewise; null: they count as answers of 503. */
  readonly consecutiveLocalFailures: number | null;
  /** Between two looks at who may come back. */
  readonly intervalMs: number;
  /** For the first time; each further one takes as much longer. */
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  /** Of the endpoints, who may be out; one is ejected as long as fewer are. */
  readonly maxEjectionPercent: number;
  /** With fewer left, none counts as ejected; 0: never. */
  readonly minHealthPercent: number;
  /** Absent: nobody is compared with the others. */
  readonly successRate?: SuccessRateDetection;
};

/** How the share of requests that end well leaves endpoints out. */
export type SuccessRateDetection = {
  /** How many standard deviations below the mean of all an endpoint must be. */
  readonly deviations: number;
  /** So many endpoints at least must have had enough requests: of fewer nobody knows what is usual. */
  readonly minEndpoints: number;
  /** In one interval; who had fewer is not looked at. */
  readonly minRequests: number;
};

/** How many of the requests may be sent again. */
export type RetryBudget = {
  /** 0 to 100. */
  readonly percent: number;
  readonly of:
    | { readonly kind: 'active' /** So many at one time in any case. */; readonly minConcurrency: number }
    /** Of those that came in this time. */
    | { readonly kind: 'interval'; readonly intervalMs: number /** In any case. */; readonly minPerSecond: number };
};

/** How the weight of a new endpoint grows. */
export type Warmup = {
  readonly durationMs: number;
  /** 0 to 100: what it has at first. */
  readonly minPercent: number;
  /** From 1 on; 1: evenly, more: faster at first. */
  readonly aggression: number;
};

/** What requests that are to get the same endpoint have in common. */
export type HashKey =
  /** In lower case. */
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'query'; readonly name: string }
  /** Of the client. */
  | { readonly kind: 'address' }
  | {
      readonly kind: 'cookie';
      readonly name: string;
      readonly path: string | null;
      /** Seconds that one lasts which is made here, 0: as long as the client's session; null: none is made. */
      readonly ttlS: number | null;
      /** `Name` or `Name=value`. */
      readonly attributes: readonly string[];
    };

/** Fixed by Istio: places of a ring of which nobody says how many it has. */
export const HASH_RING_SIZE = 1_024;

/** How an endpoint is chosen. */
export type Balancer =
  | { readonly kind: 'least-request' | 'round-robin'; readonly warmup: Warmup | null }
  | { readonly kind: 'random' }
  | {
      readonly kind: 'hash';
      readonly key: HashKey;
      /** Places, of a ring at least, of a Maglev table exactly. */
      readonly table: { readonly kind: 'ring' | 'maglev'; readonly size: number };
    };

/** How endpoints are preferred by where they are. A place is `region/zone/subzone`; what is left out, or `*`, is any. */
export type Locality =
  /** As near as can be: as the service says, or by region, zone and subzone. */
  | { readonly kind: 'nearest' }
  /** Likewise, and of other regions first the one that is named for the own. */
  | { readonly kind: 'failover'; readonly regions: readonly { readonly from: string; readonly to: string }[] }
  /** Who has more of these in common with the waypoint, or with the values written, from the first on. */
  | { readonly kind: 'priority'; readonly scopes: readonly { readonly scope: Scope; readonly value: string | null }[] }
  /** Shares by place, of the first entry that is about the own one; other places get nothing. */
  | {
      readonly kind: 'distribute';
      readonly shares: readonly {
        readonly from: string;
        readonly to: readonly { readonly place: string; readonly weight: number }[];
      }[];
    }
  /** Wherever they are. */
  | { readonly kind: 'off' };

/** How the requests to a destination are treated; what is absent is as everywhere. */
export type DestinationSettings = {
  readonly circuitBreaker?: CircuitBreaker;
  readonly connection?: ConnectionSettings;
  readonly outlierDetection?: OutlierDetection;
  readonly retryBudget?: RetryBudget;
  readonly balancer?: Balancer;
  readonly locality?: Locality;
  /** Towards endpoints outside of the mesh. */
  readonly tls?: UpstreamTls;
  /** Of requests whose route says nothing of sessions. */
  readonly session?: HttpSession;
};

/** Those of a service, of one of its ports, of a subset, or of a port of a subset. The most special one holds, whole. */
export type ServiceDestination = DestinationSettings & {
  readonly service: ServiceKey;
  /** Null: every other. */
  readonly port: number | null;
  /** Its name; null: those requests that name none. */
  readonly subset: string | null;
};
