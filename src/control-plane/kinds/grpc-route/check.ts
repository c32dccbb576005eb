import { checkFilters } from '#control-plane/mesh/request-routes/check-filters.ts';
import { checkRegex, checkValue } from '#control-plane/mesh/request-routes/check-matches.ts';
import { checkSession } from '#control-plane/mesh/request-routes/check-session.ts';
import { checkBackendPort } from '#control-plane/mesh/route-backends.ts';
import { checkParents } from '#control-plane/mesh/route-parent-check.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import type { RawGrpcMatch, RawGrpcMethod, RawGrpcRoute } from './schema.ts';

/** What the schema states in CEL about a GRPCRoute, or cannot state. */
export function checkGrpcRoute({ spec }: RawGrpcRoute): Problem[] {
  const { parentRefs = [], hostnames = [], rules = [] } = spec;
  const problems = checkParents(parentRefs);
  problems.push(...rules.flatMap((rule, at) => checkRule(rule, ['spec', 'rules', at])));
  const matches = rules.reduce((sum, rule) => sum + (rule.matches ?? []).length, 0);
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

type RawRule = NonNullable<RawGrpcRoute['spec']['rules']>[number];

function checkRule(rule: RawRule, path: FieldPath): Problem[] {
  const { matches = [], filters = [], backendRefs = [] } = rule;
  // Nothing of a path is replaced here, so no filter looks at the matches.
  const withoutPaths = { matches: [] };
  return [
    ...matches.flatMap((match, at) => checkMatch(match, [...path, 'matches', at])),
    ...checkFilters(filters, withoutPaths, [...path, 'filters']),
    ...backendRefs.flatMap((backend, at) => [
      ...checkFilters(backend.filters ?? [], withoutPaths, [...path, 'backendRefs', at, 'filters']),
      ...checkBackendPort(backend, [...path, 'backendRefs', at]),
    ]),
    ...checkSession(rule, path),
  ];
}

function checkMatch({ method, headers = [] }: RawGrpcMatch, path: FieldPath): Problem[] {
  return [
    ...(method === undefined ? [] : checkMethod(method, [...path, 'method'])),
    ...headers.flatMap((header, at) => checkValue(header, [...path, 'headers', at])),
  ];
}

const SERVICE = /^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$/i;
const METHOD = /^[A-Za-z_][A-Za-z_0-9]*$/;

function checkMethod({ type, service, method }: RawGrpcMethod, path: FieldPath): Problem[] {
  if ((service ?? '') === '' && (method ?? '') === '') {
    const message = 'a method match names a service, a method or both';
    return [errorAt('WEFT_FIELD_INVALID', path, message, 'add service or method, or remove the match to take every call')];
  }
  const parts = [
    { field: 'service', value: service, pattern: SERVICE },
    { field: 'method', value: method, pattern: METHOD },
  ];
  return parts.flatMap(({ field, value, pattern }) => {
    if (value === undefined || value === '') return [];
    if (type === 'RegularExpression') return checkRegex(value, [...path, field]);
    if (pattern.test(value)) return [];
    const message = `"${value}" is not the name of a gRPC ${field}`;
    return [errorAt('WEFT_FIELD_INVALID', [...path, field], message, 'write the name, or type: RegularExpression')];
  });
}
