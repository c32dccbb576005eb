import type { HeaderChanges } from '#model/waypoint/config.ts';
import type { HttpCors, HttpRedirect, PathModifier } from '#model/waypoint/filters.ts';
import type { RawCors, RawFilter, RawHeaderModifier, RawMirror, RawPathModifier, RawRedirect, RouteFilter } from './documents.ts';

/** Filters that are not supported are kept by type, because their rule must answer 500 instead. `own`: the route's namespace. */
export function readFilter(filter: RawFilter, own: string): RouteFilter {
  const { type, requestRedirect, urlRewrite, cors, requestMirror } = filter;
  if (type === 'RequestHeaderModifier') return { kind: 'request-headers', changes: readChanges(filter.requestHeaderModifier) };
  if (type === 'ResponseHeaderModifier') return { kind: 'response-headers', changes: readChanges(filter.responseHeaderModifier) };
  if (requestRedirect !== undefined) return { kind: 'redirect', redirect: readRedirect(requestRedirect) };
  if (urlRewrite !== undefined) {
    return { kind: 'rewrite', rewrite: { hostname: urlRewrite.hostname ?? null, path: readPath(urlRewrite.path) } };
  }
  if (cors !== undefined) return { kind: 'cors', cors: readCors(cors) };
  if (requestMirror !== undefined) return readMirror(requestMirror, own);
  return { kind: 'unsupported', type };
}

/** Set replaces what is there, add appends, remove comes last. */
function readChanges({ set = [], add = [], remove = [] }: RawHeaderModifier = {}): HeaderChanges {
  const plain = ({ name, value }: { name: string; value: string }) => ({ name, value });
  return { set: set.map(plain), add: add.map(plain), remove: [...remove] };
}

function readRedirect({ scheme, hostname, port, path, statusCode }: RawRedirect): HttpRedirect {
  return { scheme: scheme ?? null, hostname: hostname ?? null, port: port ?? null, path: readPath(path), status: statusCode };
}

function readPath(path: RawPathModifier | undefined): PathModifier | null {
  if (path === undefined) return null;
  return path.type === 'ReplaceFullPath'
    ? { kind: 'full', value: path.replaceFullPath ?? '' }
    : { kind: 'prefix', value: path.replacePrefixMatch ?? '' };
}

function readCors({ allowOrigins, allowCredentials, allowMethods, allowHeaders, exposeHeaders, maxAge }: RawCors): HttpCors {
  return {
    allowOrigins: allowOrigins ?? [],
    allowCredentials: allowCredentials ?? false,
    allowMethods: allowMethods ?? [],
    allowHeaders: allowHeaders ?? [],
    exposeHeaders: exposeHeaders ?? [],
    maxAgeSeconds: maxAge,
  };
}

function readMirror({ backendRef, percent, fraction }: RawMirror, own: string): RouteFilter {
  const { group, kind, namespace, name, port } = backendRef;
  const { numerator, denominator } = fraction ?? { numerator: percent ?? 100, denominator: 100 };
  const backend = { group, kind, namespace: namespace ?? own, name, port: port ?? null, weight: 1, filters: [] };
  return { kind: 'mirror', backend, numerator, denominator };
}
