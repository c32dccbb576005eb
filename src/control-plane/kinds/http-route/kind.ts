import { defineKind } from '#control-plane/index/kind-definition.ts';
import { readBackendRef } from '#control-plane/mesh/route-backends.ts';
import { readParent } from '#control-plane/mesh/route-parents.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { HttpRouteMatch } from '#model/waypoint/config.ts';
import type { HttpRetry, HttpSession } from '#model/waypoint/filters.ts';
import { checkHttpRoute } from './check.ts';
import { HTTP_ROUTES, httpRoutes } from './derive.ts';
import { HTTP_ROUTE_FIELDS } from './fields.ts';
import { readFilter } from './read-filter.ts';
import {
  type HttpRouteResource,
  type RawHttpRoute,
  type RawMatch,
  type RawRouteBackend,
  type RawRouteRule,
  type RawSession,
  type RawValueMatch,
  type RouteBackend,
  type RouteRule,
  readDurationMs,
} from './schema.ts';
import { standInForRoute } from './stand-in.ts';

/** How an HTTPRoute is read. */
export const httpRouteKind = defineKind({
  kind: 'HTTPRoute',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_httproutes.yaml' },
  unknownFields: 'error',
  fields: HTTP_ROUTE_FIELDS,
  check: checkHttpRoute,
  read: readHttpRoute,
  standIn: standInForRoute,
  resources: HTTP_ROUTES,
  derivations: [httpRoutes],
});

/** References are completed with the namespace of the route, and not looked up yet. */
function readHttpRoute({ spec }: RawHttpRoute, metadata: Metadata): HttpRouteResource {
  return {
    kind: 'HTTPRoute',
    metadata,
    parents: (spec.parentRefs ?? []).map((parent) => readParent(parent, metadata.namespace)),
    hostnames: spec.hostnames ?? [],
    rules: spec.rules.map((rule) => readRule(rule, metadata.namespace)),
  };
}

/** Times become milliseconds here, and only here. */
function readRule(rule: RawRouteRule, own: string): RouteRule {
  const { name, matches, filters, backendRefs, timeouts, retry, sessionPersistence } = rule;
  return {
    name: name ?? '',
    matches: matches.map(readMatch),
    filters: (filters ?? []).map((filter) => readFilter(filter, own)),
    backends: (backendRefs ?? []).map((backend) => readBackend(backend, own)),
    requestTimeoutMs: readTimeout(timeouts?.request),
    backendTimeoutMs: readTimeout(timeouts?.backendRequest),
    retry: retry === undefined ? null : readRetry(retry),
    session: sessionPersistence === undefined ? null : readSession(sessionPersistence),
  };
}

/** What a rule says of further tries; what it leaves out is usual. */
function readRetry({ codes, attempts, backoff }: NonNullable<RawRouteRule['retry']>): HttpRetry {
  return { codes: codes ?? [], attempts: attempts ?? null, backoffMs: backoff === undefined ? null : readDurationMs(backoff) };
}

/** The name of a session that its author has not named. */
const SESSION_NAME = 'weft-session';

/** What carries the sessions of a rule, and how long they last. */
function readSession({ sessionName, absoluteTimeout, type, cookieConfig }: RawSession): HttpSession {
  return {
    carrier: type === 'Header' ? 'header' : 'cookie',
    name: sessionName === undefined || sessionName === '' ? SESSION_NAME : sessionName,
    absoluteTimeoutMs: absoluteTimeout === undefined ? null : readDurationMs(absoluteTimeout) || null,
    permanent: cookieConfig?.lifetimeType === 'Permanent',
  };
}

/** `0s` switches a timeout off. */
function readTimeout(text: string | undefined): number | null {
  return text === undefined ? null : readDurationMs(text) || null;
}

/** Parts of one match are ANDed; null or an empty list restricts nothing. */
function readMatch({ path, method, headers, queryParams }: RawMatch): HttpRouteMatch {
  return {
    path: path === undefined ? null : { type: PATH_TYPE[path.type], value: path.value },
    method: method ?? null,
    // Header names are compared without regard to case; query parameter names with it.
    headers: firstOfEachName((headers ?? []).map((header) => readValueMatch(header, header.name.toLowerCase()))),
    queryParams: firstOfEachName((queryParams ?? []).map((param) => readValueMatch(param, param.name))),
  };
}

const PATH_TYPE = { Exact: 'exact', PathPrefix: 'prefix', RegularExpression: 'regex' } as const;

/** An exact value, or a pattern in RE2. */
function readValueMatch({ type, value }: RawValueMatch, name: string): HttpRouteMatch['headers'][number] {
  return { name, type: type === 'RegularExpression' ? 'regex' : 'exact', value };
}

/** The API says that of equal names only the first entry counts. */
function firstOfEachName<Named extends { name: string }>(list: readonly Named[]): Named[] {
  return list.filter(({ name }, at) => list.findIndex((other) => other.name === name) === at);
}

/** A weight is relative to those of the other backends of the rule. */
function readBackend({ filters, ...reference }: RawRouteBackend, own: string): RouteBackend {
  return { ...readBackendRef(reference, own), filters: (filters ?? []).map((filter) => readFilter(filter, own)) };
}
