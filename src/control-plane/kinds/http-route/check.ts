import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { checkFilters } from './check-filters.ts';
import { checkMatch } from './check-matches.ts';
import { type RawBackendRef, type RawHttpRoute, type RawParentRef, type RawRouteRule, readDurationMs } from './schema.ts';

/** The default of `group` in a parent reference, and therefore wrong for Services. */
const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** What the schema states in CEL about an HTTPRoute, or cannot state. */
export function checkHttpRoute({ spec }: RawHttpRoute): Problem[] {
  const { parentRefs = [], hostnames = [], rules } = spec;
  const problems = parentRefs.flatMap((parent, at) => checkParent(parent, ['spec', 'parentRefs', at]));
  problems.push(...checkRepeatedParents(parentRefs));
  problems.push(...rules.flatMap((rule, at) => checkRule(rule, ['spec', 'rules', at])));
  // Each match costs every request that reaches it.
  const matches = rules.reduce((sum, rule) => sum + rule.matches.length, 0);
  if (matches > RESOURCE.routeMatchesMax) {
    const message = `${matches} matches in one route, at most ${RESOURCE.routeMatchesMax} are allowed`;
    problems.push(errorAt('WEFT_FIELD_INVALID', ['spec', 'rules'], message, 'split the route'));
  }
  if (parentRefs.length === 0) {
    const message = 'a route without parents is attached to nothing: no request is routed by it';
    const remedy = 'write parentRefs: [{ group: "", kind: Service, name: … }]';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'parentRefs'], message, remedy));
  }
  if (hostnames.length > 0 && parentRefs.some(({ kind }) => kind === 'Service')) {
    const message = 'hostnames are ignored for a Service parent: a route is chosen by the address that was dialled';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec', 'hostnames'], message, 'remove spec.hostnames'));
  }
  return problems;
}

/** Forgetting `group: ""` is the most common mistake of all: the route would attach to nothing. */
function checkParent({ group, kind }: RawParentRef, path: FieldPath): Problem[] {
  if (kind !== 'Service' || group !== GATEWAY_GROUP) return [];
  const message = `kind Service is in the core group, but group is ${GATEWAY_GROUP} (its default)`;
  return [errorAt('WEFT_FIELD_CONFLICT', path, message, 'add group: ""')];
}

/** Two references to one parent must differ in section or port, or one of them says nothing. */
function checkRepeatedParents(parents: readonly RawParentRef[]): Problem[] {
  const keyOf = ({ group, kind, namespace, name }: RawParentRef) => [group, kind, namespace ?? '', name].join('|');
  return parents.flatMap((parent, at) => {
    const same = parents.filter((other) => keyOf(other) === keyOf(parent));
    if (same.length < 2) return [];
    // One reference to the whole parent already covers each of its ports.
    const distinct = same.filter((other) => other.sectionName === parent.sectionName && other.port === parent.port).length === 1;
    if (distinct && same.every(({ sectionName, port }) => sectionName !== undefined || port !== undefined)) return [];
    const message = `${parent.kind} ${parent.name} is listed more than once`;
    const remedy = 'give each entry its own sectionName (the name of a port), or keep one';
    return [errorAt('WEFT_FIELD_CONFLICT', ['spec', 'parentRefs', at], message, remedy)];
  });
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
    ...checkWeights(backendRefs, path),
  ];
}

/** A Service has many ports, so there is no default. */
function checkBackend({ group, kind, port, filters = [] }: RawBackendRef, rule: RawRouteRule, path: FieldPath): Problem[] {
  const problems = checkFilters(filters, rule, [...path, 'filters']);
  if (group === '' && kind === 'Service' && port === undefined) {
    const message = 'port is required for a Service: it has no default';
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'port'], message, 'add the port of the Service (not the container port)'),
    );
  }
  return problems;
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

/** Allowed by the API, and answered 500: hardly ever meant. */
function checkWeights(backends: readonly RawBackendRef[], path: FieldPath): Problem[] {
  if (backends.length === 0 || backends.some(({ weight }) => weight > 0)) return [];
  const message = 'every backend has weight 0, so each matching request is answered 500';
  return [warningAt('WEFT_LIKELY_MISTAKE', [...path, 'backendRefs'], message, 'give at least one backend a weight above 0')];
}
