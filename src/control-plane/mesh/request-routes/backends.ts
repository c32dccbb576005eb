import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { type BackendContext, type BackendRef, type Unresolved, unresolved } from '#control-plane/mesh/route-backends.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { BackendFilters, HttpBackend } from '#model/waypoint/config.ts';
import type { HttpMirror } from '#model/waypoint/filters.ts';
import type { RouteBackend, RouteRule } from './documents.ts';
import { changesOf, filterName, rewriteOf } from './filters.ts';

/** `reason`: of the first backend that does not resolve, in the words of the Gateway API; null when all do. */
export type ResolvedBackends = { backends: HttpBackend[]; problems: Problem[]; reason: string | null };

/** `reason`: as of backends. */
export type ResolvedMirrors = { mirrors: HttpMirror[]; problems: Problem[]; reason: string | null };

/** The backends of a rule; one that does not resolve keeps its share, which is answered 500. */
export function resolveBackends(rule: RouteRule, path: FieldPath, context: BackendContext): ResolvedBackends {
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  const problems: Problem[] = [];
  let reason: string | null = null;
  const backends = rule.backends.map((backend, at): HttpBackend => {
    const mistake = mistakeOf(backend, context);
    if (mistake === null) {
      const filters = backendFilters(backend);
      const key = keyOf(backend, context.mesh.options);
      return { service: key, port: backend.port ?? 0, weight: backend.weight, ...(filters === null ? {} : { filters }) };
    }
    reason ??= mistake.reason;
    const share = total === 0 ? 0 : Math.round((100 * backend.weight) / total);
    const message = `${mistake.why}; ${share} % of the requests that match are answered 500`;
    const code = mistake.reason === 'UnsupportedValue' ? 'WEFT_NOT_ENFORCED' : 'WEFT_REFERENCE_UNRESOLVED';
    problems.push(warningAt(code, [...path, 'backendRefs', at], message, mistake.remedy));
    return { service: null, port: backend.port ?? 0, weight: backend.weight };
  });
  return { backends, problems, reason };
}

/** Mirrors whose service is there; one whose is not is left out, for its copies would change nothing (config-api 1.8). */
export function resolveMirrors(rule: RouteRule, path: FieldPath, context: BackendContext): ResolvedMirrors {
  const resolved: ResolvedMirrors = { mirrors: [], problems: [], reason: null };
  for (const [at, filter] of rule.filters.entries()) {
    if (filter.kind !== 'mirror') continue;
    const { backend, numerator, denominator } = filter;
    const mistake = unresolved(backend, context);
    if (mistake === null) {
      const service = keyOf(backend, context.mesh.options);
      resolved.mirrors.push({ service, port: backend.port ?? 0, numerator, denominator });
      continue;
    }
    resolved.reason ??= mistake.reason;
    const message = `${mistake.why}; no copies are sent`;
    const where = [...path, 'filters', at, 'requestMirror', 'backendRef'];
    resolved.problems.push(warningAt('WEFT_REFERENCE_UNRESOLVED', where, message, mistake.remedy));
  }
  return resolved;
}

/** What single backends may change; null when it is nothing. */
function backendFilters({ filters }: RouteBackend): BackendFilters | null {
  if (filters.length === 0) return null;
  return {
    requestHeaders: changesOf(filters, 'request-headers'),
    responseHeaders: changesOf(filters, 'response-headers'),
    rewrite: rewriteOf(filters),
  };
}

/** Waypoints know services by hostname. */
function keyOf({ namespace, name }: BackendRef, options: MeshOptions): string {
  return serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, options) });
}

function mistakeOf(backend: RouteBackend, context: BackendContext): Unresolved | null {
  const unsupported = backend.filters.filter(({ kind }) => !OF_BACKENDS.includes(kind));
  return unresolved(backend, context) ?? (unsupported.length === 0 ? null : unsupportedFilters(unsupported.map(filterName)));
}

/** A redirect answers without any backend; the others are for all of a rule. */
const OF_BACKENDS: readonly string[] = ['request-headers', 'response-headers', 'rewrite'];

/** A filter that is left out would send requests that its author wanted changed. */
function unsupportedFilters(types: readonly string[]): Unresolved {
  const why = `filters of a single backend (${types.join(', ')}) are not supported`;
  return { reason: 'UnsupportedValue', why, remedy: 'move the filter to the rule' };
}
