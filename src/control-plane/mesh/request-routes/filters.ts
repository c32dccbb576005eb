import type { HeaderChanges } from '#model/waypoint/config.ts';
import type { HttpCors, HttpRedirect, HttpRewrite } from '#model/waypoint/filters.ts';
import type { RouteFilter } from './documents.ts';

// The check has made sure that there is at most one of each kind, mirrors apart.

/** The changes of one sort; null when the list has none. */
export function changesOf(filters: readonly RouteFilter[], kind: 'request-headers' | 'response-headers'): HeaderChanges | null {
  for (const filter of filters) if (filter.kind === kind) return filter.changes;
  return null;
}

/** Null when the list has none. */
export function rewriteOf(filters: readonly RouteFilter[]): HttpRewrite | null {
  for (const filter of filters) if (filter.kind === 'rewrite') return filter.rewrite;
  return null;
}

/** Null when the list has none. */
export function redirectOf(filters: readonly RouteFilter[]): HttpRedirect | null {
  for (const filter of filters) if (filter.kind === 'redirect') return filter.redirect;
  return null;
}

/** Null when the list has none. */
export function corsOf(filters: readonly RouteFilter[]): HttpCors | null {
  for (const filter of filters) if (filter.kind === 'cors') return filter.cors;
  return null;
}

const NAMES = {
  'request-headers': 'RequestHeaderModifier',
  'response-headers': 'ResponseHeaderModifier',
  redirect: 'RequestRedirect',
  rewrite: 'URLRewrite',
  cors: 'CORS',
  mirror: 'RequestMirror',
} as const;

/** The type of a filter as users write it. */
export function filterName(filter: RouteFilter): string {
  return filter.kind === 'unsupported' ? filter.type : NAMES[filter.kind];
}
