import { checkFilters } from '#control-plane/mesh/request-routes/check-filters.ts';
import { checkMatch } from '#control-plane/mesh/request-routes/check-matches.ts';
import { checkSession } from '#control-plane/mesh/request-routes/check-session.ts';
import {
  type RawRequestRoute,
  type RawRouteBackend,
  type RawRouteRule,
  readDurationMs,
} from '#control-plane/mesh/request-routes/documents.ts';
import { checkBackendPort } from '#control-plane/mesh/route-backends.ts';
import { checkParents } from '#control-plane/mesh/route-parent-check.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';

/** What the schema states in CEL about an HTTPRoute, or cannot state. */
export function checkHttpRoute({ spec }: RawRequestRoute): Problem[] {
  const { parentRefs = [], hostnames = [], rules } = spec;
  const problems = checkParents(parentRefs);
  problems.push(...rules.flatMap((rule, at) => checkRule(rule, ['spec', 'rules', at])));
  // Each match costs every request that reaches it.
  const matches = rules.reduce((sum, rule) => sum + rule.matches.length, 0);
  if (matches > RESOURCE.routeMatchesMax) {
    const message = `${matches} matches in one route, at most ${RESOURCE.routeMatchesMax} are allowed`;
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec', 'rules'], message, 'split the route'));
  }
  if (hostnames.length > 0 && parentRefs.some(({ kind }) => kind === 'Service')) {
    const message = 'hostnames are ignored for a Service parent: a route is chosen by the address that was dialled';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'hostnames'], message, 'remove spec.hostnames'));
  }
  return problems;
}

/** What the schema cannot say about one rule. */
function checkRule(rule: RawRouteRule, path: FieldPath): Problem[] {
  const { matches, filters = [], backendRefs = [] } = rule;
  return [
    ...matches.flatMap((match, at) => checkMatch(match, [...path, 'matches', at])),
    ...checkFilters(filters, rule, [...path, 'filters']),
    ...backendRefs.flatMap((backend, at) => checkBackend(backend, rule, [...path, 'backendRefs', at])),
    ...checkRedirect(rule, path),
    ...checkTimeouts(rule, path),
    ...checkRetry(rule, path),
    ...checkSession(rule, path),
    ...checkWeights(backendRefs, path),
  ];
}

function checkBackend(backend: RawRouteBackend, rule: RawRouteRule, path: FieldPath): Problem[] {
  return [...checkFilters(backend.filters ?? [], rule, [...path, 'filters']), ...checkBackendPort(backend, path)];
}

/** A redirect is an answer: nothing is left for a backend to do. */
function checkRedirect({ filters = [], backendRefs = [] }: RawRouteRule, path: FieldPath): Problem[] {
  const at = filters.findIndex(({ type }) => type === 'RequestRedirect');
  if (at < 0 || backendRefs.length === 0) return [];
  const message = 'a redirect answers the request itself, so backendRefs would never be used';
  return [errorAt('WEFT_FIELD_CONFLICT', [...path, 'filters', at], message, 'remove backendRefs or the filter')];
}

/** In milliseconds. 0 means no limit for the whole request, which every attempt fits in. */
function checkTimeouts({ timeouts }: RawRouteRule, path: FieldPath): Problem[] {
  const { request, backendRequest } = timeouts ?? {};
  if (request === undefined || backendRequest === undefined) return [];
  const requestMs = readDurationMs(request);
  // 0 switches the limit of the whole request off.
  if (requestMs === 0 || readDurationMs(backendRequest) <= requestMs) return [];
  const message = `one attempt (${backendRequest}) cannot outlast the whole request (${request})`;
  return [
    errorAt('WEFT_FIELD_CONFLICT', [...path, 'timeouts', 'backendRequest'], message, 'lower backendRequest or raise request'),
  ];
}

/** More is not refused, for the route does what it can. */
function checkRetry({ retry }: RawRouteRule, path: FieldPath): Problem[] {
  const { attempts = 0 } = retry ?? {};
  if (attempts <= WAYPOINT.routeRetriesMax) return [];
  const message = `${attempts} retries are more than a waypoint makes: there are ${WAYPOINT.routeRetriesMax}`;
  const remedy = `write ${WAYPOINT.routeRetriesMax} or less`;
  return [warningAt('WEFT_LIKELY_MISTAKE', [...path, 'retry', 'attempts'], message, remedy)];
}

/** Allowed by the API, and answered 500: hardly ever meant. */
function checkWeights(backends: readonly RawRouteBackend[], path: FieldPath): Problem[] {
  if (backends.length === 0 || backends.some(({ weight }) => weight > 0)) return [];
  const message = 'every backend has weight 0, so each matching request is answered 500';
  return [warningAt('WEFT_LIKELY_MISTAKE', [...path, 'backendRefs'], message, 'give at least one backend a weight above 0')];
}
