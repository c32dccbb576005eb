import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import type { MeshState } from './mesh-state.ts';
import { type GatewayAddress, type Service, serviceKeyOf, waypointsOf } from './service.ts';
import type { Workload } from './workload.ts';

/**
 * The names by which a control plane is asked for what it takes to decide where a connection to an address goes, as far as the mesh is
 * known: what they are answered may need further ones. Source: docs/rules/node-proxy.md (B72).
 */
export function neededNames(mesh: MeshState, client: Pick<Workload, 'network'>, ip: IpAddress): Set<string> {
  const names = new Set([addressName(client.network, ip)]);
  for (const service of mesh.servicesAt(ip)) {
    addService(names, mesh, client, service);
    for (const target of targetsOf(service)) {
      names.add(target);
      const known = mesh.service(target);
      if (known !== null) addService(names, mesh, client, known);
    }
  }
  const workload = mesh.workloadByIp(ip);
  if (workload === null) return names;
  addWaypoint(names, client, workload.waypoint);
  // An address that is written as an endpoint may be the service's own, too, and of the two a control plane tells the endpoint.
  if (isWritten(workload)) for (const key of workload.services.keys()) names.add(key);
  return names;
}

/** What a control plane knows an address by. */
export function addressName(network: string, ip: IpAddress): string {
  return `${network}/${ip}`;
}

/** The address in such a name; null: it is the name of something else. */
export function addressIn(name: string): IpAddress | null {
  return tryParseIp(name.slice(name.indexOf('/') + 1));
}

/**
 * Whether its addresses were written by somebody or resolved, and not given to a pod by its node: each may be that of a workload of the
 * mesh, which is then reached as one.
 */
export function isWritten({ tunnelProtocol, uid }: Workload): boolean {
  return tunnelProtocol !== 'hbone' && !uid.includes('//Pod/');
}

function addService(names: Set<string>, mesh: MeshState, client: Pick<Workload, 'network'>, service: Service): void {
  for (const waypoint of waypointsOf(service)) addWaypoint(names, client, waypoint);
  if (service.waypoint !== null) return; // who is behind it is the waypoint's to know
  for (const endpoint of mesh.endpoints(serviceKeyOf(service)))
    if (isWritten(endpoint)) for (const ip of endpoint.addresses) names.add(addressName(client.network, ip));
}

function addWaypoint(names: Set<string>, { network }: Pick<Workload, 'network'>, waypoint: GatewayAddress | null): void {
  if (waypoint === null) return;
  if (waypoint.kind === 'hostname') names.add(serviceKeyOf(waypoint));
  else names.add(addressName(waypoint.network || network, waypoint.address));
}

function targetsOf({ routes }: Service): string[] {
  return routes.flatMap(({ shares }) => shares.flatMap(({ service }) => service ?? []));
}
