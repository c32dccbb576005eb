import type { MeshReader } from '#control-plane/index/derivation.ts';
import { type MeshOptions, serviceHostname } from '#control-plane/index/mesh-options.ts';
import { SERVICES, type ServiceResource, serviceNamesIn } from '#control-plane/mesh/services.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { serviceKeyOf } from '#model/mesh/service.ts';
import type { HttpBackend } from '#model/waypoint/config.ts';
import type { RouteBackend, RouteRule } from './schema.ts';

/** Whose backends are resolved, and where they are looked up. */
type BackendContext = { routeNamespace: string; parentNamespace: string; mesh: MeshReader<typeof SERVICES> };

/** Why the share of a backend is answered 500. Reasons of the Gateway API. */
type Unresolved = {
  reason: 'InvalidKind' | 'BackendNotFound' | 'RefNotPermitted' | 'UnsupportedValue';
  why: string;
  remedy: string;
};

/** `reason`: of the first backend that does not resolve, in the words of the Gateway API; null when all do. */
export type ResolvedBackends = { backends: HttpBackend[]; problems: Problem[]; reason: string | null };

/** The backends of a rule; one that does not resolve keeps its share, which is answered 500. */
export function resolveBackends(rule: RouteRule, path: FieldPath, context: BackendContext): ResolvedBackends {
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  const problems: Problem[] = [];
  let reason: string | null = null;
  const backends = rule.backends.map((backend, at): HttpBackend => {
    const unresolved = mistakeOf(backend, context);
    if (unresolved === null)
      return { service: keyOf(backend, context.mesh.options), port: backend.port ?? 0, weight: backend.weight };
    reason ??= unresolved.reason;
    const share = total === 0 ? 0 : Math.round((100 * backend.weight) / total);
    const message = `${unresolved.why}; ${share} % of the requests that match are answered 500`;
    const code = unresolved.reason === 'UnsupportedValue' ? 'WEFT_NOT_ENFORCED' : 'WEFT_REFERENCE_UNRESOLVED';
    problems.push(warningAt(code, [...path, 'backendRefs', at], message, unresolved.remedy));
    return { service: null, port: backend.port ?? 0, weight: backend.weight };
  });
  return { backends, problems, reason };
}

/** Waypoints know services by hostname. */
function keyOf({ namespace, name }: RouteBackend, options: MeshOptions): string {
  return serviceKeyOf({ namespace, hostname: serviceHostname(namespace, name, options) });
}

/** The first thing that is wrong decides the reason; null when the backend resolves. */
function mistakeOf(backend: RouteBackend, context: BackendContext): Unresolved | null {
  const { group, kind, namespace, name, port, filters } = backend;
  if (group !== '' || kind !== 'Service') {
    return { reason: 'InvalidKind', why: `${kind} of group "${group}" cannot be a backend`, remedy: 'refer to a Service' };
  }
  const service = context.mesh.get(SERVICES, `${namespace}/${name}`);
  if (service === null || service.externalName !== null) {
    const suggestion =
      service === null ? didYouMean(name, serviceNamesIn(context.mesh, namespace)) : ': it is only an alias (ExternalName)';
    const why = `Service ${namespace}/${name} ${service === null ? 'not found' : 'has no endpoints'}${suggestion}`;
    return { reason: 'BackendNotFound', why, remedy: 'correct the name, or create the Service' };
  }
  if (!service.ports.some((one) => one.port === port)) {
    const why = `Service ${namespace}/${name} has no port ${port} (ports: ${listPorts(service)})`;
    return { reason: 'BackendNotFound', why, remedy: 'use a port of the Service, not of the container' };
  }
  return notPermitted(namespace, context) ?? (filters.length === 0 ? null : unsupportedFilters(filters.map(filterName)));
}

/**
 * A waypoint dials with its own identity: a consumer route could borrow it to reach namespaces that neither its
 * author nor the service's owner speaks for.
 */
function notPermitted(namespace: string, { routeNamespace, parentNamespace }: BackendContext): Unresolved | null {
  if (routeNamespace === parentNamespace || namespace === routeNamespace || namespace === parentNamespace) return null;
  const why = `a route of namespace ${routeNamespace} for a service of ${parentNamespace} may not send to namespace ${namespace}`;
  return { reason: 'RefNotPermitted', why, remedy: `choose a backend in ${routeNamespace} or ${parentNamespace}` };
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

/** `http 80, 9090`. */
export function listPorts({ ports }: ServiceResource): string {
  return ports.map(({ name, port }) => `${name} ${port}`.trim()).join(', ') || 'none';
}
