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
  | { readonly type: 'header' | 'query'; readonly name: string };

/** A bucket, or one for each value of `key`. */
export type RateLimitRule = {
  readonly name: string;
  /** Null: every request. */
  readonly match: TrafficMatch | null;
  readonly key: readonly RateLimitKey[];
  /** Tokens that come in `windowMs`. */
  readonly requests: number;
  readonly windowMs: number;
  /** Tokens that a bucket holds. */
  readonly burst: number;
  /** Every replica has all of it, and not its share. */
  readonly perReplica: boolean;
  /** Counted, and not enforced. */
  readonly shadow: boolean;
};

/** How many requests there may be. Every rule that matches is charged. */
export type RateLimit = {
  /** `<namespace>/<name>`. */
  readonly policy: string;
  readonly rules: readonly RateLimitRule[];
  /** Responses tell how much is left. */
  readonly responseHeaders: boolean;
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
