import { defineDerivation, type MeshReader } from '#control-plane/index/derivation.ts';
import { STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { isExportedTo, type NamedHost, namedHost } from '#control-plane/mesh/named-hosts.ts';
import { SERVICE_BINDINGS } from '#control-plane/mesh/services.ts';
import {
  ATTACHED_VIRTUAL_SERVICES,
  gatewayRoutesOf,
  ROUTING_TABLES,
  virtualServiceOf,
} from '#control-plane/mesh/virtual-services.ts';
import { isWaypoint } from '#control-plane/mesh/waypoint-binding.ts';
import { WAYPOINTS } from '#control-plane/mesh/waypoints.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { COMPILE_TABLES, type CompiledVirtualService, compileVirtualService, VIRTUAL_SERVICES } from './compile.ts';
import { MESH_GATEWAY } from './read.ts';
import type { VirtualServiceResource } from './resource.ts';

/** What was found out on the way, to be told with the rest. `attached`: services, with the place of their host. */
type Outcome = { problems: readonly Problem[]; attached: readonly { service: string; at: number }[] };

const OUTCOMES = tableOf<Outcome>()('virtual-service-outcomes');

const READS = [...COMPILE_TABLES, SERVICE_BINDINGS, WAYPOINTS] as const;
type AttachMesh = MeshReader<(typeof READS)[number]>;

/** What each VirtualService comes to at the waypoints of its hosts. */
export const attachedVirtualServices = defineDerivation({
  name: 'virtual service',
  each: VIRTUAL_SERVICES,
  reads: [...READS],
  writes: [ATTACHED_VIRTUAL_SERVICES, OUTCOMES],
  derive({ key, value: resource }, mesh) {
    const { createdAtMs, namespace, name } = resource.metadata;
    const problems = [...notForMesh(resource), ...otherRoutes(resource), ...unnamed(key, resource, mesh)];
    const attached = new Map<string, { at: number; compiled: CompiledVirtualService }>();
    const isOurs = resource.gateways.includes(MESH_GATEWAY) && resource.http.length > 0;
    for (const [at, host] of isOurs ? resource.hosts.entries() : []) {
      const found = attach(host, at, resource, mesh);
      if (!('host' in found)) problems.push(found);
      else if (!attached.has(found.host.key)) {
        const compiled = compileVirtualService(resource, found.waypointNamespace, mesh);
        attached.set(found.host.key, { at, compiled });
        problems.push(...compiled.problems);
      }
    }
    const route = { namespace, name, ports: null, clientNamespace: null, inOrder: true as const };
    const entries = [...attached].map(
      ([
        service,
        {
          compiled: { rules, subsets },
        },
      ]) => {
        const metadata = { createdAtMs, namespace, name };
        return entry(ATTACHED_VIRTUAL_SERVICES, `${key} ${service}`, { service, metadata, route: { ...route, rules }, subsets });
      },
    );
    const outcome = { problems: distinct(problems), attached: [...attached].map(([service, { at }]) => ({ service, at })) };
    return [...entries, entry(OUTCOMES, key, outcome)];
  },
});

/** What is to be said of each: also who goes before it, which is known only when all are compiled. */
export const virtualServiceStatus = defineDerivation({
  name: 'virtual service status',
  each: OUTCOMES,
  reads: [VIRTUAL_SERVICES, ...ROUTING_TABLES],
  writes: [...STATUS],
  derive({ key, value: { problems, attached } }, mesh) {
    const resource = mesh.get(VIRTUAL_SERVICES, key);
    if (resource === null) return [];
    const unheard = attached.flatMap(({ service, at }): Problem[] => {
      const path = ['spec', 'hosts', at];
      const [winner] = gatewayRoutesOf(service, mesh);
      const host = service.slice(service.indexOf('/') + 1);
      if (winner !== undefined) {
        const message = `routes of the Gateway API go before it at ${host}: ${nameOf(winner.route)} is attached there`;
        return [warningAt('WEFT_NOT_ENFORCED', path, message, 'route each service by one of the two APIs')];
      }
      const first = virtualServiceOf(service, mesh)?.route;
      if (first === undefined || nameOf(first) === key) return [];
      const message = `VirtualService ${nameOf(first)} is older and routes ${host} already: two of one host are not merged`;
      return [warningAt('WEFT_NOT_ENFORCED', path, message, 'merge the two')];
    });
    return statusOf(nameOfResource(resource), [], [...problems, ...unheard]);
  },
});

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

/** Connections go on as without it: a route restricts nobody. */
function otherRoutes({ otherRoutes: fields }: VirtualServiceResource): Problem[] {
  return fields.map((field) => {
    const message = `${field} is not in force: connections are not routed by a VirtualService`;
    return warningAt('WEFT_NOT_ENFORCED', ['spec', field], message, 'write a TCPRoute for the Service');
  });
}

/** What is wrong with a destination is found once for each host. */
function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((one) => [`${one.path.join('/')} ${one.message}`, one])).values()];
}
