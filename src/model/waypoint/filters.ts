import type { ServiceKey } from '#model/mesh/service.ts';
import type { StringMatch } from '#model/waypoint/virtual.ts';

/** Which paths are meant. */
export type PathMatch = { type: 'exact' | 'prefix' | 'regex'; value: string };

/** A value of a header or query parameter. */
export type ValueMatch = { name: string; type: 'exact' | 'regex'; value: string };

/**
 * What replaces a path: `full`, all of it; `prefix`, what the only match of the rule, a path prefix, matched; `text`, as many
 * characters at its beginning as `from` has, which the rule has compared already.
 */
export type PathModifier =
  | { readonly kind: 'full' | 'prefix'; readonly value: string }
  | { readonly kind: 'text'; readonly from: string; readonly value: string };

/** The statuses that a redirect may have. */
export const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const;

/** The port that was dialled; that of the scheme; or that of the client's authority, as long as no other host is named. */
export type RedirectPortSource = 'request' | 'scheme' | 'authority';

/** An answer that names another place; null parts are those of the request. */
export type HttpRedirect = {
  readonly scheme: 'http' | 'https' | null;
  readonly hostname: string | null;
  readonly port: number | null;
  /** Where a port comes from that is not written. Absent: as the Gateway API has it (config-api 1.8). */
  readonly portFrom?: RedirectPortSource;
  readonly path: PathModifier | null;
  readonly status: (typeof REDIRECT_STATUSES)[number];
};

/** What the upstream gets in place of what the client named; null parts stay. */
export type HttpRewrite = { readonly hostname: string | null; readonly path: PathModifier | null };

/** What browsers are told of other origins (config-api 1.8). A list that holds `*` allows everything. */
export type HttpCors = {
  readonly allowOrigins: readonly string[];
  /** Origins that are compared as they are written, beside those above. */
  readonly originMatches?: readonly StringMatch[];
  /** Of an origin that is not allowed nothing is said: preflights go on, and the application answers for itself. */
  readonly leavesOthers?: true;
  readonly allowCredentials: boolean;
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** Seconds for which a browser may remember the answer; null: it is not told. */
  readonly maxAgeSeconds: number | null;
};

/** When a request is sent again. Null: what is usual. */
export type HttpRetry = {
  /** Statuses of 400 to 599 that are a failure. */
  readonly codes: readonly number[];
  /** Tries after the first. */
  readonly attempts: number | null;
  /** Milliseconds to wait at least before each. */
  readonly backoffMs: number | null;
  /** What else a VirtualService says. */
  readonly virtual?: VirtualRetry;
};

/** Retries in the words of Envoy. */
export type VirtualRetry = {
  /** Milliseconds; waits begin below it, at random, and grow to ten times as much. Null: what is usual. */
  readonly intervalMs: number | null;
  /** Statuses of gRPC, in the head of a response, that are a failure. */
  readonly grpcStatuses: readonly number[];
  /** So is an answer that does not come, where the method may be repeated. */
  readonly unanswered: boolean;
};

/** By which requests of one session go to one endpoint. */
export type HttpSession = {
  readonly carrier: 'cookie' | 'header';
  readonly name: string;
  /** Milliseconds after which a session ends in any case; null: never. */
  readonly absoluteTimeoutMs: number | null;
  /** The client keeps the cookie as long as the session lasts, and not only until it closes. */
  readonly permanent: boolean;
};

/** A copy of requests for another service: of `numerator` in `denominator`; nobody waits for what comes of it. */
export type HttpMirror = {
  readonly service: ServiceKey;
  readonly port: number;
  /** As of a backend. */
  readonly subset?: string;
  readonly numerator: number;
  readonly denominator: number;
};
