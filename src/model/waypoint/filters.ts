import type { ServiceKey } from '#model/mesh/service.ts';

/** Which paths are meant. */
export type PathMatch = { type: 'exact' | 'prefix' | 'regex'; value: string };

/** A value of a header or query parameter. */
export type ValueMatch = { name: string; type: 'exact' | 'regex'; value: string };

/** What replaces a path: `full`, all of it; `prefix`, what the only match of the rule, a path prefix, matched. */
export type PathModifier = { readonly kind: 'full' | 'prefix'; readonly value: string };

/** The statuses that a redirect may have. */
export const REDIRECT_STATUSES = [301, 302, 303, 307, 308] as const;

/** An answer that names another place; null parts are those of the request. */
export type HttpRedirect = {
  readonly scheme: 'http' | 'https' | null;
  readonly hostname: string | null;
  readonly port: number | null;
  readonly path: PathModifier | null;
  readonly status: (typeof REDIRECT_STATUSES)[number];
};

/** What the upstream gets in place of what the client named; null parts stay. */
export type HttpRewrite = { readonly hostname: string | null; readonly path: PathModifier | null };

/** What browsers are told of other origins (config-api 1.8). A list that holds `*` allows everything. */
export type HttpCors = {
  readonly allowOrigins: readonly string[];
  readonly allowCredentials: boolean;
  readonly allowMethods: readonly string[];
  readonly allowHeaders: readonly string[];
  readonly exposeHeaders: readonly string[];
  /** Seconds for which a browser may remember the answer. */
  readonly maxAgeSeconds: number;
};

/** When a request is sent again. Null: what is usual. */
export type HttpRetry = {
  /** Statuses of 400 to 599 that are a failure. */
  readonly codes: readonly number[];
  /** Tries after the first. */
  readonly attempts: number | null;
  /** Milliseconds to wait at least before each. */
  readonly backoffMs: number | null;
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
  readonly numerator: number;
  readonly denominator: number;
};
