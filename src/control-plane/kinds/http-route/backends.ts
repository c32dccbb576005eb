import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { type BackendContext, type BackendRef, type Unresolved, unresolved } from '#control-plane/mesh/route-backends.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { HttpBackend } from '#model/waypoint/config.ts';
import type { RouteBackend, RouteRule } from './schema.ts';

/** `reason`: of the first backend that does not resolve, in the words of the Gateway API; null when all do. */
export type ResolvedBackends = { backends: HttpBackend[]; problems: Problem[]; reason: string | null };

/** The backends of a rule; one that does not resolve keeps its share, which is answered 500. */
export function resolveBackends(rule: RouteRule, path: FieldPath, context: BackendContext): ResolvedBackends {
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  const problems: Problem[] = [];
  let reason: string | null = null;
  const backends = rule.backends.map((backend, at): HttpBackend => {
    const mistake = mistakeOf(backend, context);
    if (mistake === null)
      return { service: keyOf(backend, context.mesh.options), port: backend.port ?? 0, weight: backend.weight };
    reason ??= mistake.reason;
    const share = total === 0 ? 0 : Math.round((100 * backend.weight) / total);
    const message = `${mistake.why}; ${share} % of the requests that match are answered 500`;
    const code = mistake.reason === 'UnsupportedValue' ? 'WEFT_NOT_ENFORCED' : 'WEFT_REFERENCE_UNRESOLVED';
    problems.push(warningAt(code, [...path, 'backendRefs', at], message, mistake.remedy));
    return { service: null, port: backend.port ?? 0, weight: backend.weight };
  });
  return { backends, problems, reason };
}

/** Waypoints know services by hostname. */
function keyOf({ namespace, name }: BackendRef, options: MeshOptions): string {
  return serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, options) });
}

function mistakeOf(backend: RouteBackend, context: BackendContext): Unresolved | null {
  const { filters } = backend;
  return unresolved(backend, context) ?? (filters.length === 0 ? null : unsupportedFilters(filters.map(filterName)));
}

/** A filter that is left out would send requests that its author wanted changed. */
function unsupportedFilters(types: readonly string[]): Unresolved {
  const why = `filters of a single backend (${types.join(', ')}) are not supported`;
  return { reason: 'UnsupportedValue', why, remedy: 'move the filter to the rule' };
}

/** The type of a filter as users write it. */
export function filterName(filter: RouteBackend['filters'][number]): string {
  switch (filter.kind) {
    case 'request-headers':
      return 'RequestHeaderModifier';
    case 'response-headers':
      return 'ResponseHeaderModifier';
    case 'unsupported':
      return filter.type;
  }
}
