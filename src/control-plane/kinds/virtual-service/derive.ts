import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import {
  type Bound,
  CONNECTION_TABLES,
  gatewayConnectionsOf,
  virtualConnectionsOf,
} from '#control-plane/mesh/connection-routes.ts';
import { isExportedTo, type NamedHost, namedHost } from '#control-plane/mesh/named-hosts.ts';
import { SERVICE_BINDINGS } from '#control-plane/mesh/services.ts';
import {
  ATTACHED_VIRTUAL_CONNECTIONS,
  ATTACHED_VIRTUAL_SERVICES,
  gatewayRoutesOf,
  ROUTING_TABLES,
  virtualServiceOf,
} from '#control-plane/mesh/virtual-services.ts';
import { isWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { compileVirtualService } from './compile.ts';
import { compileConnections } from './compile-connections.ts';
import { COMPILE_TABLES, VIRTUAL_SERVICES } from './destinations.ts';
import { MESH_GATEWAY } from './read.ts';
import type { VirtualServiceResource } from './resource.ts';

/** A service that it is attached to, with the place of its host, and which of its routes are. */
type Attached = Bound & { at: number; requests: boolean; connections: boolean };
/** What was found out on the way, to be told with the rest. */
type Outcome = { problems: readonly Problem[]; attached: readonly Attached[] };

const OUTCOMES = tableOf<Outcome>()('virtual-service-outcomes');

const READS = [...COMPILE_TABLES, SERVICE_BINDINGS, WAYPOINTS] as const;
type AttachMesh = MeshReader<(typeof READS)[number]>;

/** What each VirtualService comes to at the waypoints of its hosts. */
export const attachedVirtualServices = defineDerivation({
  name: 'virtual service',
  each: VIRTUAL_SERVICES,
  reads: [...READS],
  writes: [ATTACHED_VIRTUAL_SERVICES, ATTACHED_VIRTUAL_CONNECTIONS, OUTCOMES],
  derive({ key, value: resource }, mesh) {
    const problems = [...notForMesh(resource), ...unnamed(key, resource, mesh)];
    const found = new Map<string, { at: number; host: NamedHost; waypointNamespace: string }>();
    for (const [at, host] of resource.gateways.includes(MESH_GATEWAY) ? resource.hosts.entries() : []) {
      const one = attach(host, at, resource, mesh);
      if (!('host' in one)) problems.push(one);
      else if (!found.has(one.host.key)) found.set(one.host.key, { ...one, at });
    }
    const requests = resource.http.length > 0;
    const connections = resource.connections.length > 0;
    const entries = [...found].flatMap(([service, { host, waypointNamespace }]) => [
      ...(requests ? [requestsAt(service, key, resource, waypointNamespace, problems, mesh)] : []),
      ...(connections ? [connectionsAt(host, key, resource, waypointNamespace, problems, mesh)] : []),
    ]);
    const attached = [...found].map(([service, { at, host }]) => ({ service, id: host.id, at, requests, connections }));
    return [...entries, entry(OUTCOMES, key, { problems: distinct(problems), attached })];
  },
});

/** What its rules come to at one service; problems are added to those that there are. */
function requestsAt(
  service: string,
  key: string,
  resource: VirtualServiceResource,
  waypointNamespace: string,
  problems: Problem[],
  mesh: AttachMesh,
) {
  const { createdAtMs, namespace, name } = resource.metadata;
  const compiled = compileVirtualService(resource, waypointNamespace, mesh);
  problems.push(...compiled.problems);
  const { rules, subsets } = compiled;
  const route = { namespace, name, ports: null, clientNamespace: null, inOrder: true as const, rules };
  const metadata = { createdAtMs, namespace, name };
  return entry(ATTACHED_VIRTUAL_SERVICES, `${key} ${service}`, { service, metadata, route, subsets });
}

/** The same of its routes of connections. */
function connectionsAt(
  host: NamedHost,
  key: string,
  resource: VirtualServiceResource,
  waypointNamespace: string,
  problems: Problem[],
  mesh: AttachMesh,
) {
  const { createdAtMs, namespace, name } = resource.metadata;
  const { routes, subsets, problems: own } = compileConnections(resource, host, waypointNamespace, mesh);
  problems.push(...own);
  const metadata = { createdAtMs, namespace, name };
  return entry(ATTACHED_VIRTUAL_CONNECTIONS, `${key} ${host.key}`, { service: host.key, metadata, routes, subsets });
}

/** What is to be said of each: also who goes before it, which is known only when all are compiled. */
export const virtualServiceStatus = defineDerivation({
  name: 'virtual service status',
  each: OUTCOMES,
  reads: [VIRTUAL_SERVICES, ...ROUTING_TABLES, ...CONNECTION_TABLES],
  writes: [...STATUS],
  derive({ key, value: { problems, attached } }, mesh) {
    const resource = mesh.get(VIRTUAL_SERVICES, key);
    if (resource === null) return [];
    const unheard = attached.flatMap((one) => [
      ...(one.requests ? unheardAt(key, one, ofRequests(one.service, mesh), 'routes') : []),
      ...(one.connections ? unheardAt(key, one, ofConnections(one, mesh), 'routes of connections') : []),
    ]);
    return statusOf(nameOfResource(resource), [], [...problems, ...unheard]);
  },
});

type StatusMesh = MeshReader<(typeof ROUTING_TABLES)[number] | (typeof CONNECTION_TABLES)[number]>;
/** Who is in force for a service: a route of the Gateway API, or else a VirtualService; as `<namespace>/<name>`. */
type InForce = { gateway: string | null; virtual: string | null };

function ofRequests(service: string, mesh: StatusMesh): InForce {
  const [winner] = gatewayRoutesOf(service, mesh);
  const first = virtualServiceOf(service, mesh);
  return { gateway: winner === undefined ? null : nameOf(winner.route), virtual: first === null ? null : nameOf(first.route) };
}

function ofConnections(bound: Bound, mesh: StatusMesh): InForce {
  const first = virtualConnectionsOf(bound, mesh);
  return { gateway: gatewayConnectionsOf(bound, mesh), virtual: first === null ? null : nameOf(first.metadata) };
}

/** What is attached, and has no effect, because something else is. */
function unheardAt(key: string, { service, at }: Attached, { gateway, virtual }: InForce, what: string): Problem[] {
  const path = ['spec', 'hosts', at];
  const host = service.slice(service.indexOf('/') + 1);
  if (gateway !== null) {
    const message = `${what} of the Gateway API go before it at ${host}: ${gateway} is attached there`;
    return [warningAt('WEFT_NOT_ENFORCED', path, message, 'route each service by one of the two APIs')];
  }
  if (virtual === null || virtual === key) return [];
  const message = `VirtualService ${virtual} is older and ${what === 'routes' ? 'routes' : 'routes connections to'} ${host} already: two of one host are not merged`;
  return [warningAt('WEFT_NOT_ENFORCED', path, message, 'merge the two')];
}

/** As resources are named in findings. */
function nameOf({ namespace, name }: { namespace: string; name: string }): string {
  return `${namespace}/${name}`;
}

/** The service that a host stands for, if some waypoint of ours takes what this says of it. */
function attach(
  host: string,
  at: number,
  { metadata: { namespace }, exportTo }: VirtualServiceResource,
  mesh: AttachMesh,
): { host: NamedHost; waypointNamespace: string } | Problem {
  const path: FieldPath = ['spec', 'hosts', at];
  const refused = (message: string, remedy: string): Problem => warningAt('WEFT_NOT_ENFORCED', path, message, remedy);
  if (host.startsWith('*.')) return refused(`${host} stands for many hosts: a waypoint routes by one`, 'write each host');
  const found = namedHost(host, namespace, mesh);
  if (found === null) {
    const message = `host ${host} is no service of the mesh`;
    return warningAt('WEFT_REFERENCE_UNRESOLVED', path, message, 'write the name of a Service, or create a ServiceEntry');
  }
  const gateway = mesh.get(SERVICE_BINDINGS, found.id)?.gateway ?? null;
  if (gateway === null || !isWaypoint(mesh, gateway)) {
    const message = `no proxy runs its routes: ${found.owner} has no waypoint`;
    return refused(message, 'label the Service or its namespace istio.io/use-waypoint: <gateway>');
  }
  const waypointNamespace = gateway.slice(0, gateway.indexOf('/'));
  if (namespace !== found.namespace && namespace !== waypointNamespace) {
    const message = `a VirtualService of namespace ${namespace} routes nothing of ${found.owner}: a waypoint takes those of its own namespace and the service's`;
    return refused(message, `move it to namespace ${found.namespace}`);
  }
  if (!isExportedTo(exportTo, namespace, waypointNamespace)) {
    const message = `it is not exported to namespace ${waypointNamespace}, where the waypoint of ${found.owner} is`;
    return refused(message, `add ${waypointNamespace} to exportTo`);
  }
  return { host: found, waypointNamespace };
}

/** Other controllers serve those. */
function notForMesh({ gateways }: VirtualServiceResource): Problem[] {
  if (gateways.includes(MESH_GATEWAY)) return [];
  const message = `it is for ${gateways.join(', ')}: waypoints route what is for gateway mesh`;
  return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'gateways'], message, 'add mesh if the services of the mesh are meant')];
}

/** A delegate has no effect by itself. */
function unnamed(key: string, { hosts }: VirtualServiceResource, mesh: AttachMesh): Problem[] {
  if (hosts.length > 0 || mesh.keysBy(VIRTUAL_SERVICES, 'delegate', key).length > 0) return [];
  const message = 'it has no hosts, so it is a delegate, and no VirtualService delegates to it: nothing is routed by it';
  return [
    warningAt('WEFT_NOT_ENFORCED', ['spec', 'hosts'], message, 'write hosts, or name it in http[].delegate of another one'),
  ];
}

/** What is wrong with a destination is found once for each host. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [`${one.path.join('/')} ${one.message}`, one])).values()];
}
