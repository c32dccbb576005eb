import type { BackendContext } from '#control-plane/mesh/route-backends.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { HttpRouteRule } from '#model/waypoint/config.ts';
import type { HttpMirror } from '#model/waypoint/filters.ts';
import { resolveBackends, resolveMirrors } from './backends.ts';
import type { RequestRouteResource, RouteRule } from './documents.ts';
import { changesOf, corsOf, filterName, redirectOf, rewriteOf } from './filters.ts';

/** Rules as a waypoint runs them. `reason`: of the first backend that does not resolve; `stricter`: rules that answer 500 instead. */
export type CompiledRules = { rules: HttpRouteRule[]; problems: Problem[]; reason: string | null; stricter: number[] };

/** Compiles the rules of a route for a parent of one namespace. */
export function compileRules(route: RequestRouteResource, parentNamespace: string, mesh: BackendContext['mesh']): CompiledRules {
  const result: CompiledRules = { rules: [], problems: [], reason: null, stricter: [] };
  const routeNamespace = route.metadata.namespace;
  const context: BackendContext = { routeKind: route.kind, routeNamespace, parentNamespace, protocol: 'TCP', mesh };
  for (const [at, rule] of route.rules.entries()) {
    const path = ['spec', 'rules', at];
    const resolved = resolveBackends(rule, path, context);
    const mirrored = resolveMirrors(rule, path, context);
    const unsupported = unsupportedFilters(rule, path);
    result.problems.push(...resolved.problems, ...mirrored.problems, ...unsupported);
    result.reason ??= resolved.reason ?? mirrored.reason;
    if (unsupported.length > 0) result.stricter.push(at);
    // Without backends a rule answers 500, which is safer than to leave out half of it.
    const usable = unsupported.length === 0;
    result.rules.push({
      name: rule.name,
      matches: rule.matches,
      backends: usable ? resolved.backends : [],
      requestHeaders: changesOf(rule.filters, 'request-headers'),
      responseHeaders: changesOf(rule.filters, 'response-headers'),
      requestTimeoutMs: rule.requestTimeoutMs,
      ...(usable ? rareParts(rule, mirrored.mirrors) : {}),
    });
  }
  return result;
}

/** What most rules do not have, and are not told of. */
function rareParts(
  { filters, backendTimeoutMs, retry, session }: RouteRule,
  mirrors: readonly HttpMirror[],
): Partial<HttpRouteRule> {
  const [redirect, rewrite, cors] = [redirectOf(filters), rewriteOf(filters), corsOf(filters)];
  return {
    ...(redirect === null ? {} : { redirect }),
    ...(rewrite === null ? {} : { rewrite }),
    ...(cors === null ? {} : { cors }),
    ...(mirrors.length === 0 ? {} : { mirrors }),
    ...(backendTimeoutMs === null ? {} : { backendTimeoutMs }),
    ...(retry === null ? {} : { retry }),
    ...(session === null ? {} : { session }),
  };
}

/** Told per filter; the rule as a whole answers 500, because half of it is not what its author wanted. */
function unsupportedFilters({ filters }: RouteRule, path: FieldPath): Problem[] {
  return filters.flatMap((filter, at) => {
    if (filter.kind !== 'unsupported') return [];
    const message = `filter ${filterName(filter)} is not supported: every request that matches the rule is answered 500`;
    return [warningAt('WEFT_NOT_ENFORCED', [...path, 'filters', at], message, 'remove the filter')];
  });
}
