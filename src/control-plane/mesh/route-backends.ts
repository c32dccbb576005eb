import type { MeshReader } from '#control-plane/index/derivation.ts';
import { isGranted, type REFERENCE_GRANTS } from '#control-plane/mesh/reference-grants.ts';
import { SERVICES, type ServiceResource, serviceNamesIn } from '#control-plane/mesh/services.ts';
import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';

/** Where a share of what a route takes goes; not looked up yet. */
export type BackendRef = {
  group: string;
  kind: string;
  namespace: string;
  name: string;
  port: number | null;
  weight: number;
};

/** A backend with its defaults. */
export type RawBackendRef = {
  group: string;
  kind: string;
  namespace?: string;
  name: string;
  port?: number;
  weight: number;
};

/** A weight is relative to those of the other backends of the rule; a namespace that is not written is the route's own. */
export function readBackendRef({ group, kind, namespace, name, port, weight }: RawBackendRef, own: string): BackendRef {
  return { group, kind, namespace: namespace ?? own, name, port: port ?? null, weight };
}

/** A Service has many ports, so there is no default. */
export function checkBackendPort({ group, kind, port }: RawBackendRef, path: FieldPath): Problem[] {
  if (group !== '' || kind !== 'Service' || port !== undefined) return [];
  const message = 'port is required for a Service: it has no default';
  return [errorAt('WEFT_FIELD_INVALID', [...path, 'port'], message, 'add the port of the Service (not the container port)')];
}

/** Whose backends are resolved, and where they are looked up. */
export type BackendContext = {
  routeKind: string;
  routeNamespace: string;
  parentNamespace: string;
  protocol: ServiceResource['ports'][number]['protocol'];
  mesh: MeshReader<typeof SERVICES | typeof REFERENCE_GRANTS>;
};

/** Why the share of a backend goes nowhere. Reasons of the Gateway API. */
export type Unresolved = {
  reason: 'InvalidKind' | 'BackendNotFound' | 'RefNotPermitted' | 'UnsupportedValue' | 'UnsupportedProtocol';
  why: string;
  remedy: string;
};

/** The first thing that is wrong decides the reason; null when the backend resolves. */
export function unresolved(backend: BackendRef, context: BackendContext): Unresolved | null {
  const { group, kind, namespace, name, port } = backend;
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
  const ports = service.ports.filter((one) => one.port === port);
  if (ports.length === 0) {
    const why = `Service ${namespace}/${name} has no port ${port} (ports: ${listPorts(service)})`;
    return { reason: 'BackendNotFound', why, remedy: 'use a port of the Service, not of the container' };
  }
  if (!ports.some(({ protocol }) => protocol === context.protocol)) {
    const why = `port ${port} of Service ${namespace}/${name} is not ${context.protocol}`;
    return { reason: 'UnsupportedProtocol', why, remedy: `refer to a port with protocol: ${context.protocol}` };
  }
  return notPermitted(backend, context);
}

/**
 * A waypoint dials with its own identity: a consumer route could borrow it to reach namespaces that neither its
 * author nor the service's owner speaks for. The namespace itself may say that it may.
 */
function notPermitted({ namespace, name }: BackendRef, context: BackendContext): Unresolved | null {
  const { routeKind: kind, routeNamespace, parentNamespace, mesh } = context;
  if (routeNamespace === parentNamespace || namespace === routeNamespace || namespace === parentNamespace) return null;
  const reference = { group: 'gateway.networking.k8s.io', kind, namespace: routeNamespace, service: { namespace, name } };
  if (isGranted(mesh, reference)) return null;
  const why = `a route of namespace ${routeNamespace} for a service of ${parentNamespace} may not send to namespace ${namespace}`;
  const remedy = `choose a backend in ${routeNamespace} or ${parentNamespace}, or let a ReferenceGrant in ${namespace} allow it`;
  return { reason: 'RefNotPermitted', why, remedy };
}

/** `http 80, 9090`. */
export function listPorts({ ports }: { ports: readonly { name: string; port: number }[] }): string {
  return ports.map(({ name, port }) => `${name} ${port}`.trim()).join(', ') || 'none';
}
