import type { BackendContext } from '#control-plane/mesh/route-backends.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { HttpRouteRule } from '#model/waypoint/config.ts';
import { filterName, resolveBackends } from './backends.ts';
import type { HttpRouteResource, RouteFilter, RouteRule } from './schema.ts';

/** Rules as a waypoint runs them. `reason`: of the first backend that does not resolve; `stricter`: rules that answer 500 instead. */
export type CompiledRules = { rules: HttpRouteRule[]; problems: Problem[]; reason: string | null; stricter: number[] };

/** Compiles the rules of a route for a parent of one namespace. */
export function compileRules(route: HttpRouteResource, parentNamespace: string, mesh: BackendContext['mesh']): CompiledRules {
  const result: CompiledRules = { rules: [], problems: [], reason: null, stricter: [] };
  const routeNamespace = route.metadata.namespace;
  const context: BackendContext = { routeKind: 'HTTPRoute', routeNamespace, parentNamespace, protocol: 'TCP', mesh };
  for (const [at, rule] of route.rules.entries()) {
    const path = ['spec', 'rules', at];
    const resolved = resolveBackends(rule, path, context);
    const unsupported = unsupportedFilters(rule, path);
    result.problems.push(...resolved.problems, ...unsupported);
    result.reason ??= resolved.reason;
    if (unsupported.length > 0) result.stricter.push(at);
    // Without backends a rule answers 500, which is safer than to leave out half of it.
    const backends = unsupported.length > 0 ? [] : resolved.backends;
    result.rules.push({
      name: rule.name,
      matches: rule.matches,
      backends,
      requestHeaders: changesOf(rule.filters, 'request-headers'),
      responseHeaders: changesOf(rule.filters, 'response-headers'),
      requestTimeoutMs: timeoutOf(rule),
    });
  }
  return result;
}

/** Without retries the one attempt is the whole request: the shorter limit decides. */
function timeoutOf({ requestTimeoutMs, backendTimeoutMs }: RouteRule): number | null {
  const limits = [requestTimeoutMs, backendTimeoutMs].filter((limit) => limit !== null);
  return limits.length === 0 ? null : Math.min(...limits);
}

/** The check has made sure that there is at most one of each kind. */
function changesOf(
  filters: readonly RouteFilter[],
  kind: 'request-headers' | 'response-headers',
): HttpRouteRule['requestHeaders'] {
  for (const filter of filters) if (filter.kind === kind) return filter.changes;
  return null;
}

/** Told per filter; the rule as a whole answers 500, because half of it is not what its author wanted. */
function unsupportedFilters({ filters }: RouteRule, path: FieldPath): Problem[] {
  return filters.flatMap((filter, at) => {
    if (filter.kind !== 'unsupported') return [];
    const message = `filter ${filterName(filter)} is not supported: every request that matches the rule is answered 500`;
    return [warningAt('WEFT_NOT_ENFORCED', [...path, 'filters', at], message, 'remove the filter')];
  });
}
