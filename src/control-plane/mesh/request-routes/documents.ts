import type { BackendRef, RawBackendRef } from '#control-plane/mesh/route-backends.ts';
import type { ParentRef, RawParentRef } from '#control-plane/mesh/route-parents.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { HeaderChanges, HttpRouteMatch } from '#model/waypoint/config.ts';
import type { HttpCors, HttpRedirect, HttpRetry, HttpRewrite, HttpSession } from '#model/waypoint/filters.ts';

/** A filter; `unsupported` ones make their rule answer 500. */
export type RouteFilter =
  | { kind: 'request-headers'; changes: HeaderChanges }
  | { kind: 'response-headers'; changes: HeaderChanges }
  | { kind: 'redirect'; redirect: HttpRedirect }
  | { kind: 'rewrite'; rewrite: HttpRewrite }
  | { kind: 'cors'; cors: HttpCors }
  /** Copies of `numerator` in `denominator` requests. */
  | { kind: 'mirror'; backend: RouteBackend; numerator: number; denominator: number }
  | { kind: 'unsupported'; type: string };

/** Where a share of the requests goes; not looked up yet. */
export type RouteBackend = BackendRef & { filters: readonly RouteFilter[] };

/** A rule with its defaults filled in. */
export type RouteRule = {
  name: string;
  matches: readonly HttpRouteMatch[];
  filters: readonly RouteFilter[];
  backends: readonly RouteBackend[];
  /** Milliseconds; null: unlimited. */
  requestTimeoutMs: number | null;
  /** Of one attempt at one backend. Milliseconds; null: unlimited. */
  backendTimeoutMs: number | null;
  retry: HttpRetry | null;
  session: HttpSession | null;
};

/** A route; nothing it refers to has been looked up yet. */
export type RequestRouteResource = {
  kind: 'HTTPRoute' | 'GRPCRoute';
  metadata: Metadata;
  parents: readonly ParentRef[];
  hostnames: readonly string[];
  rules: readonly RouteRule[];
};

/** A header to set or add. */
export type RawNamedValue = { name: string; value: string };
/** A match on a header or query parameter. */
export type RawValueMatch = { name: string; type: 'Exact' | 'RegularExpression'; value: string };

/** A match as written. */
export type RawMatch = {
  path?: { type: 'Exact' | 'PathPrefix' | 'RegularExpression'; value: string };
  headers?: RawValueMatch[];
  queryParams?: RawValueMatch[];
  method?: string;
};

/** Settings of the header filters. */
export type RawHeaderModifier = { set?: RawNamedValue[]; add?: RawNamedValue[]; remove?: string[] };

/** How a redirect or rewrite changes the path. */
export type RawPathModifier = {
  type: 'ReplaceFullPath' | 'ReplacePrefixMatch';
  replaceFullPath?: string;
  replacePrefixMatch?: string;
};

/** Where the client is sent instead. */
export type RawRedirect = {
  scheme?: 'http' | 'https';
  hostname?: string;
  port?: number;
  path?: RawPathModifier;
  statusCode: HttpRedirect['status'];
};

/** What may be read from other origins. */
export type RawCors = {
  allowOrigins?: string[];
  allowCredentials?: boolean;
  allowMethods?: string[];
  allowHeaders?: string[];
  exposeHeaders?: string[];
  maxAge: number;
};

/** Where copies go; of every request if it does not say of how many. */
export type RawMirror = {
  backendRef: Omit<RawBackendRef, 'weight' | 'filters'>;
  percent?: number;
  fraction?: { numerator: number; denominator: number };
};

/** A filter as written. */
export type RawFilter = {
  type: string;
  requestHeaderModifier?: RawHeaderModifier;
  responseHeaderModifier?: RawHeaderModifier;
  requestMirror?: RawMirror;
  requestRedirect?: RawRedirect;
  urlRewrite?: { hostname?: string; path?: RawPathModifier };
  cors?: RawCors;
  extensionRef?: object;
  externalAuth?: object;
};

/** A backend with its defaults. */
export type RawRouteBackend = RawBackendRef & { filters?: RawFilter[] };

/** A rule with its defaults. */
export type RawRouteRule = {
  name?: string;
  matches: RawMatch[];
  filters?: RawFilter[];
  backendRefs?: RawRouteBackend[];
  timeouts?: { request?: string; backendRequest?: string };
  retry?: { codes?: number[]; attempts?: number; backoff?: string };
  sessionPersistence?: RawSession;
};

/** A session as written. */
export type RawSession = {
  sessionName?: string;
  absoluteTimeout?: string;
  type: 'Cookie' | 'Header';
  cookieConfig?: { lifetimeType: 'Permanent' | 'Session' };
};

/** Defaults of the schema are already filled in. */
export type RawRequestRoute = {
  metadata: RawMetadata;
  spec: { parentRefs?: RawParentRef[]; hostnames?: string[]; rules: RawRouteRule[] };
};

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** Milliseconds of a Gateway API duration such as `1m30s` (GEP-2257), whose form the schema has checked. */
export function readDurationMs(text: string): number {
  let totalMs = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+)(ms|h|m|s)/g)) totalMs += Number(amount) * (UNIT_MS[unit ?? ''] ?? 0);
  return totalMs;
}
