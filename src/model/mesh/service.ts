import type { Cidr, IpAddress } from '#model/address/ip.ts';

/** `<namespace>/<hostname>`. */
export type ServiceKey = string;

/** A port of a Service, as people name it. */
export type NamedService = { readonly namespace: string; readonly name: string; readonly port: number };

/** What a service port speaks, as declared; `unknown` is found out by looking at the first bytes. */
export type AppProtocol = 'unknown' | 'http11' | 'http2' | 'grpc' | 'tcp' | 'tls';

/** targetPort 0: named, so each workload's own mapping decides. */
export type ServicePort = { servicePort: number; targetPort: number; appProtocol: AppProtocol };

/** A level at which client and endpoint may be near each other. */
export type Scope = 'region' | 'zone' | 'subzone' | 'node' | 'cluster' | 'network';

/** How endpoints are preferred; null on a service: all alike. */
export type LoadBalancing = {
  mode: 'unspecified' | 'strict' | 'failover' | 'passthrough';
  routingPreference: readonly Scope[];
  allowUnhealthy: boolean;
};

/** A transport that services have ports of. */
export type Transport = 'tcp' | 'udp';

/** Where a share of a route's connections goes: a port of a service. Null: it resolves to none, so that share is refused. */
export type RouteShare = { service: ServiceKey | null; port: number; weight: number };

/**
 * Where connections to a port of a service go in place of its own endpoints. `clientNamespace`: it holds for clients of that
 * namespace alone, for whom no other route does; null: for all others.
 */
export type L4Route = { transport: Transport; port: number; clientNamespace: string | null; shares: readonly RouteShare[] };

/** The plain-object twin of `istio.workload.Service`. */
export type Service = {
  name: string;
  namespace: string;
  hostname: string;
  /** VIPs of the local network; empty for a headless service. */
  addresses: readonly IpAddress[];
  /** Blocks of addresses that stand for it, where no workload and no service has the address itself. Absent: none. */
  blocks?: readonly Cidr[];
  ports: readonly ServicePort[];
  /** Ports for UDP, which only the kernel of the client's node serves. */
  datagramPorts: readonly Pick<ServicePort, 'servicePort' | 'targetPort'>[];
  subjectAltNames: readonly string[];
  waypoint: GatewayAddress | null;
  /** A second waypoint, on trial beside the first. Absent: there is none. */
  canary?: CanaryWaypoint;
  loadBalancing: LoadBalancing | null;
  ipFamilies: 'automatic' | 'ipv4' | 'ipv6' | 'dual';
  canonical: boolean;
  /** Visible only to clients of its own namespace. */
  namespaceOnly: boolean;
  /** The name that it only is an alias of, in lower case: it has no address and no port then; null: it is a service of its own. */
  aliasOf: string | null;
  /** Seconds that a client may be silent and still is led to the endpoint that it had before; 0: each connection to any. */
  affinityTimeoutS: number;
  /** At most one of each transport, port and namespace of clients. */
  routes: readonly L4Route[];
};

/** The key of a service. */
export function serviceKeyOf(service: { namespace: string; hostname: string }): ServiceKey {
  return `${service.namespace}/${service.hostname}`;
}

/** `weight`: how many of a hundred new connections go to it while it has an instance; it serves whom it has also with 0. */
export type CanaryWaypoint = { readonly waypoint: GatewayAddress; readonly weight: number };

/** Every waypoint that may serve it, its own first: either judges by the same policies. */
export function waypointsOf({ waypoint, canary }: Pick<Service, 'waypoint' | 'canary'>): GatewayAddress[] {
  return waypoint === null ? [] : [waypoint, ...(canary === undefined ? [] : [canary.waypoint])];
}

/** Where a waypoint (or gateway) is reached: by service hostname or by address, always over HBONE. */
export type GatewayAddress =
  | { kind: 'hostname'; namespace: string; hostname: string; hbonePort: number }
  | { kind: 'address'; network: string; address: IpAddress; hbonePort: number };

/** What tells one gateway from another: `namespace/hostname`, or its address. */
export function gatewayName(address: GatewayAddress): string {
  return address.kind === 'hostname' ? `${address.namespace}/${address.hostname}` : address.address;
}
