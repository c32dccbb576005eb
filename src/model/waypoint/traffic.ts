import type { ServiceKey } from '#model/mesh/service.ts';
import type { PathMatch, ValueMatch } from '#model/waypoint/filters.ts';

/** Which requests are meant; lists are ORed and what is empty or null restricts nothing, fields are ANDed. */
export type TrafficMatch = {
  readonly methods: readonly string[];
  readonly path: PathMatch | null;
  readonly headers: readonly ValueMatch[];
  readonly queryParams: readonly ValueMatch[];
  /** Of the verified identity of the client. */
  readonly namespaces: readonly string[];
  /** `<namespace>/<name>`, likewise. */
  readonly serviceAccounts: readonly string[];
};

/** What requests that share a bucket have in common. */
export type RateLimitKey =
  | { readonly type: 'service-account' | 'namespace' | 'address' | 'method' | 'path' }
  | { readonly type: 'header' | 'query'; readonly name: string }
  /** Of a token that was proved; the names of claims, each within the one before. */
  | { readonly type: 'claim'; readonly path: readonly string[] };

/** Requests that are counted together, or for each value of `key` apart. */
export type CountingRule = {
  readonly name: string;
  /** Null: every request. */
  readonly match: TrafficMatch | null;
  readonly key: readonly RateLimitKey[];
  /** How many there may be in `windowMs`. */
  readonly requests: number;
  readonly windowMs: number;
  /** Counted, and not enforced. */
  readonly shadow: boolean;
};

/** Counted by the waypoint, in buckets to which `requests` tokens come in `windowMs`. */
export type RateLimitRule = CountingRule & {
  /** Tokens that a bucket holds. */
  readonly burst: number;
  /** Every replica has all of it, and not its share. */
  readonly perReplica: boolean;
};

/** Counted for all who ask it by a service of the mesh that speaks Envoy's rate limit protocol, in windows of a whole unit of time. */
export type GlobalLimit = {
  /** Null: none is named, so none can be asked. */
  readonly server: { readonly service: ServiceKey; readonly port: number } | null;
  /** Milliseconds that a question may take. */
  readonly timeoutMs: number;
  /** Requests pass that it cannot be asked about. */
  readonly failOpen: boolean;
  /** At least one. */
  readonly rules: readonly CountingRule[];
};

/** How many requests there may be. Every rule that matches is charged. */
export type RateLimit = {
  /** `<namespace>/<name>`. */
  readonly policy: string;
  readonly rules: readonly RateLimitRule[];
  /** Responses tell how much is left. */
  readonly responseHeaders: boolean;
  /** Absent: the waypoint counts for all of its rules. */
  readonly global?: GlobalLimit;
};

/** What is done to requests so that it is seen what their clients make of it; first the delay, then the abort. */
export type Fault = {
  readonly policy: string;
  readonly match: TrafficMatch | null;
  /** Percentages are 0 to 100. */
  readonly delay: { readonly durationMs: number; readonly percentage: number } | null;
  /** One of the two is there. */
  readonly abort: { readonly status: number | null; readonly grpcStatus: number | null; readonly percentage: number } | null;
};

/** What a TrafficPolicy says of a service, of one of its ports, or of one rule of a route; null parts say nothing. */
export type Traffic = { readonly rateLimit: RateLimit | null; readonly fault: Fault | null };
