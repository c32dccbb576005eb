import { familyOf, formatAddress, type IpAddress, splitHostPort, tryParseIp } from '#model/address/ip.ts';
import { targetPort } from '#model/balancing/endpoints.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { RESERVED_PORTS } from '#model/mesh/ports.ts';
import { waypointsOf } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { RecordEnd } from '#model/telemetry/access-record.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';

/**
 * What a CONNECT asks of a workload: a port of its app, and whether that was asked for by an address that is not its own.
 * `dialled`: what its app is to be told that was asked for; null: nothing.
 */
export type TunnelTarget = { readonly port: number; readonly isElsewhere: boolean; readonly dialled: RecordEnd | null };

/**
 * Where a CONNECT at a workload's address leads (B6, B7, B8, B9, B23). Another address than its own is asked of a waypoint, or
 * of an app behind a tunnel of its own; else only the port of an address counts.
 */
export function tunnelTarget(
  mesh: MeshState,
  workload: Workload,
  { authority: text, local }: { readonly authority: string; readonly local: IpAddress },
): TunnelTarget | Refusal {
  const authority = splitHostPort(text);
  if (authority === null) return new Refusal('bad-authority', `malformed authority "${text}"`);
  const { appTunnel } = workload;
  const ip = tryParseIp(authority.host);
  const isElsewhere = ip !== null && ip !== local;
  if (isElsewhere && appTunnel === undefined && !isWaypointOf(mesh, workload, ip)) {
    const asked = formatAddress(ip, authority.port);
    return new Refusal('bad-authority', `ip mismatch: asked for ${asked} at ${local}`);
  }
  const own = appTunnel?.port || null;
  const port = own ?? (ip !== null ? authority.port : servicePort(mesh, workload, authority.host, authority.port));
  if (port instanceof Refusal) return port;
  if (RESERVED_PORTS.has(port)) return new Refusal('reserved-port', 'attempted recursive call to ourselves');
  if (appTunnel?.isProxied !== true) return { port, isElsewhere, dialled: null };
  const dialled = ip ?? addressOf(mesh, workload, authority.host);
  if (dialled !== null) return { port, isElsewhere, dialled: { ip: dialled, port: authority.port } };
  return new Refusal('no-such-port', `no service ${authority.host} with an address that its app could be told`);
}

/** Whether an address is that of a service or workload which is reached through this one. */
function isWaypointOf(mesh: MeshState, { uid }: Workload, ip: IpAddress): boolean {
  return [...mesh.servicesByVip(ip), mesh.workloadByIp(ip)].some(
    (one) =>
      one !== null && waypointsOf(one).some((waypoint) => mesh.waypointMembers(waypoint).some((member) => member.uid === uid)),
  );
}

/** By which address a service is told: IPv4 before IPv6. */
function addressOf(mesh: MeshState, workload: Workload, hostname: string): IpAddress | null {
  const addresses = serviceNamed(mesh, workload, hostname)?.addresses ?? [];
  return addresses.find((ip) => familyOf(ip) === 4) ?? addresses[0] ?? null;
}

/** The workload's own namespace is asked first. */
function serviceNamed(mesh: MeshState, workload: Workload, hostname: string) {
  const services = mesh.servicesByHostname(hostname);
  return services.find((one) => one.namespace === workload.namespace) ?? services[0];
}

/** The port behind a service's port at this workload (B23). */
function servicePort(mesh: MeshState, workload: Workload, hostname: string, port: number): number | Refusal {
  const service = serviceNamed(mesh, workload, hostname);
  const resolved = service === undefined ? null : targetPort(service, workload, port);
  return resolved ?? new Refusal('no-such-port', `no service ${hostname} with port ${port} on this workload`);
}
