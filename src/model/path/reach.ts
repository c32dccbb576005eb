import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import { type Identity, tryParseIdentity } from '#model/identity/identity.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { Service } from '#model/mesh/service.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { newTraceparent } from '#model/telemetry/propagation.ts';

// How a workload is reached, for whoever opens connections: the agents and the waypoints ask here and nowhere else.

/** What of a service matters for reaching one of its endpoints. */
export type ReachedService = Pick<Service, 'hostname' | 'subjectAltNames'>;

/** One port of one workload. `service`: the one it was chosen for; null when the workload itself was dialled. */
export type Destination = {
  readonly workload: Workload;
  readonly ip: IpAddress;
  readonly port: number;
  readonly service: ReachedService | null;
};

/** The tunnel that leads somewhere, whoever opens it. */
export type Tunnel = {
  /** Identities of which the peer must prove one: at least one. */
  readonly peers: readonly Identity[];
  /** Where TLS is dialled. */
  readonly ip: IpAddress;
  readonly port: number;
  /** What the CONNECT asks for: `ip:port` or `[v6]:port`. */
  readonly authority: string;
  readonly serviceHost: string | null;
};

/** `near`: on the caller's own node, where the kernel connects app to app. `plain`: it takes no tunnels. */
export type Reach = { readonly kind: 'plain' } | { readonly kind: 'near' } | { readonly kind: 'tunnel'; readonly tunnel: Tunnel };

/** One pool entry: connections of two identities, or of two source addresses, are never shared (B18). */
export type TunnelTarget = {
  source: Identity;
  /** Acceptable identities of the peer: at least one. */
  peers: readonly Identity[];
  address: IpAddress;
  port: number;
};

/** What one CONNECT says (docs/rules/node-proxy.md). */
export type TunnelRequest = {
  /** `ip:port`, `[v6]:port` or `hostname:port`. */
  authority: string;
  /** `ip:port` of the client, for the `forwarded` header. */
  client: string;
  /** Service hostname when the client dialled a service. */
  serviceHost: string | null;
  baggage: string;
  traceparent: string;
};

/** Who opens a tunnel: as whom, and what peers are told about it, in the form of the header. */
export type Caller = { readonly identity: Identity; readonly baggage: string };

/** A workload of the mesh on another node is never dialled in plain text (promise 1). */
export function reachOf(destination: Destination, isNear: boolean): Reach {
  if (destination.workload.tunnelProtocol !== 'hbone') return { kind: 'plain' };
  return isNear ? { kind: 'near' } : { kind: 'tunnel', tunnel: tunnelTo(destination) };
}

/** The tunnel to a workload of another node, which must prove the identity the mesh knows it by, or one its service allows. */
export function tunnelTo({ workload, ip, port, service }: Destination): Tunnel {
  const allowed = (service?.subjectAltNames ?? []).flatMap((name) => tryParseIdentity(name) ?? []);
  const peers = [identityOf(workload), ...allowed];
  return { peers, ip, port: PORT.hbone, authority: formatAddress(ip, port), serviceHost: service?.hostname ?? null };
}

/** The tunnel to an instance of a waypoint; it asks for what was dialled, so that the waypoint decides what that is. */
export function tunnelToWaypoint(
  instance: { readonly workload: Workload; readonly ip: IpAddress; readonly port: number },
  dialled: { readonly ip: IpAddress; readonly port: number },
  service: ReachedService | null,
): Tunnel {
  const { workload, ip, port } = instance;
  const authority = formatAddress(dialled.ip, dialled.port);
  return { peers: [identityOf(workload)], ip, port, authority, serviceHost: service?.hostname ?? null };
}

/** What a pool of tunnels is asked, on behalf of `client`. */
export function openingOf(
  { peers, ip, port, authority, serviceHost }: Tunnel,
  caller: Caller,
  client: { readonly ip: IpAddress; readonly port: number },
  randomBytes: (count: number) => Uint8Array,
): { target: TunnelTarget; request: TunnelRequest } {
  return {
    target: { source: caller.identity, peers, address: ip, port },
    request: {
      authority,
      client: formatAddress(client.ip, client.port),
      serviceHost,
      baggage: caller.baggage,
      traceparent: newTraceparent(randomBytes),
    },
  };
}
