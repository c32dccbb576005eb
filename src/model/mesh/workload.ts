import type { IpAddress } from '#model/address/ip.ts';
import type { Identity } from '#model/identity/identity.ts';
import type { GatewayAddress, ServiceKey } from './service.ts';

/** The trust domain of a record that names none. */
export const DEFAULT_TRUST_DOMAIN = 'cluster.local';

/** How peers reach a workload. */
export type TunnelProtocol = 'none' | 'hbone';

/** What a workload's name is the name of. */
export type WorkloadKind = 'deployment' | 'cronjob' | 'pod' | 'job';

/** service port → port of the workload. */
export type PortMapping = { servicePort: number; targetPort: number };

/**
 * One network endpoint of the mesh, as workload discovery describes it.
 * The plain-object twin of `istio.workload.Workload`; src/protocol/xds converts both ways.
 */
export type Workload = {
  uid: string;
  name: string;
  namespace: string;
  addresses: readonly IpAddress[];
  network: string;
  tunnelProtocol: TunnelProtocol;
  /** Terminates and originates HBONE by itself (a waypoint, a gateway). */
  nativeTunnel: boolean;
  trustDomain: string;
  serviceAccount: string;
  waypoint: GatewayAddress | null;
  node: string;
  canonicalName: string;
  canonicalRevision: string;
  workloadName: string;
  workloadKind: WorkloadKind;
  /** `<namespace>/<name>` of selector-scoped policies only. */
  authorizationPolicies: readonly string[];
  healthy: boolean;
  clusterId: string;
  /** Resolved on use when there are no addresses; '' otherwise. */
  hostname: string;
  services: ReadonlyMap<ServiceKey, readonly PortMapping[]>;
  /** How what its tunnels bring is handed to it; absent: to the port that was asked for, as it is. */
  appTunnel?: AppTunnel;
  /** Not to be looked up by IP. */
  hostNetwork: boolean;
  /** Relative balancing weight, at least 1. */
  capacity: number;
  locality: { region: string; zone: string; subzone: string };
  /** It opens nothing to destinations that the mesh does not know. */
  registryOnly: boolean;
  /** A pod that is not meant to be in the mesh: nobody is given its identity. No part of a record; the control plane alone knows it. */
  outsideMesh?: true;
};

/**
 * Behind tunnels that end at the workload's agent: the app listens on this port for whatever was asked for (0: on the port that was).
 * `isProxied`: on loopback, and each connection begins with a header of the PROXY protocol that says what that was, and who asks.
 */
export type AppTunnel = { readonly isProxied: boolean; readonly port: number };

/** The identity a peer must present when it claims to be this workload. */
export function identityOf(workload: Workload): Identity {
  const known = identities.get(workload);
  if (known !== undefined) return known;
  const { trustDomain, namespace, serviceAccount } = workload;
  const identity = { trustDomain, namespace, serviceAccount };
  identities.set(workload, identity);
  return identity;
}

/** Records are replaced whole when they change. One object for each, so that what is known by identity is found by it. */
const identities = new WeakMap<Workload, Identity>();
