import { readBackendRef } from '#control-plane/mesh/route-backends.ts';
import type { HttpRouteMatch } from '#model/waypoint/config.ts';
import type { HttpRetry } from '#model/waypoint/filters.ts';
import {
  type RawRouteBackend,
  type RawRouteRule,
  type RawValueMatch,
  type RouteBackend,
  type RouteRule,
  readDurationMs,
} from './documents.ts';
import { readFilter } from './read-filter.ts';
import { readSession } from './read-session.ts';

/** All of a rule but its matches. Times become milliseconds here, and only here. `own`: the namespace of the route. */
export function readRule(rule: Omit<RawRouteRule, 'matches'>, own: string): Omit<RouteRule, 'matches'> {
  const { name, filters, backendRefs, timeouts, retry, sessionPersistence } = rule;
  return {
    name: name ?? '',
    filters: (filters ?? []).map((filter) => readFilter(filter, own)),
    backends: (backendRefs ?? []).map((backend) => readBackend(backend, own)),
    requestTimeoutMs: readTimeout(timeouts?.request),
    backendTimeoutMs: readTimeout(timeouts?.backendRequest),
    retry: retry === undefined ? null : readRetry(retry),
    session: sessionPersistence === undefined ? null : readSession(sessionPersistence),
  };
}

/** Names are compared without regard to case. */
export function readHeaders(headers: readonly RawValueMatch[] = []): HttpRouteMatch['headers'] {
  return firstOfEachName(headers.map((header) => readValueMatch(header, header.name.toLowerCase())));
}

/** `0s` switches a timeout off. */
function readTimeout(text: string | undefined): number | null {
  return text === undefined ? null : readDurationMs(text) || null;
}

/** An exact value, or a pattern in RE2. */
export function readValueMatch({ type, value }: RawValueMatch, name: string): HttpRouteMatch['headers'][number] {
  return { name, type: type === 'RegularExpression' ? 'regex' : 'exact', value };
}

/** The API says that of equal names only the first entry counts. */
export function firstOfEachName<Named extends { name: string }>(list: readonly Named[]): Named[] {
  return list.filter(({ name }, at) => list.findIndex((other) => other.name === name) === at);
}

/** A weight is relative to those of the other backends of the rule. */
function readBackend({ filters, ...reference }: RawRouteBackend, own: string): RouteBackend {
  return { ...readBackendRef(reference, own), filters: (filters ?? []).map((filter) => readFilter(filter, own)) };
}
/** What a rule says of further tries; what it leaves out is usual. */
function readRetry({ codes, attempts, backoff }: NonNullable<RawRouteRule['retry']>): HttpRetry {
  return { codes: codes ?? [], attempts: attempts ?? null, backoffMs: backoff === undefined ? null : readDurationMs(backoff) };
}
