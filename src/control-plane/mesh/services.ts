import type { MeshReader } from '#control-plane/index/derivation.ts';
import { type Labelled, localNameOf, namespaceOf, tableOf } from '#control-plane/index/table.ts';
import { LABEL, MANAGED_VALUES } from '#control-plane/mesh/well-known.ts';
import type { Labels, Metadata } from '#control-plane/resources/metadata.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { Family, IpAddress } from '#model/address/ip.ts';

/** A name and addresses for workloads. */
export type ServiceResource = {
  kind: 'Service';
  metadata: Metadata;
  /** The name that it is an alias of, in lower case: no endpoints of its own. Null: none. */
  externalName: string | null;
  /** `clusterIP: None`: has endpoints but no address of its own. */
  headless: boolean;
  /** Given by the user; empty when they are to be allocated (or headless). */
  addresses: readonly IpAddress[];
  /** As the user wrote them; empty: not said. */
  ipFamilies: readonly Family[];
  /** null: selects nothing. */
  selector: Labels | null;
  ports: readonly ServicePortResource[];
  /** Only endpoints on the client's node. */
  nodeLocal: boolean;
  trafficDistribution: string | null;
  publishNotReadyAddresses: boolean;
  /** Seconds; 0: no session affinity. */
  affinityTimeoutS: number;
};

/** A port that clients dial. */
export type ServicePortResource = {
  /** '' when it has none. */
  name: string;
  port: number;
  /** A port number, or the name of a container port. */
  target: number | string;
  protocol: 'TCP' | 'UDP' | 'SCTP';
  appProtocol: string | null;
};

/** Services as their users wrote them, by `<namespace>/<name>`. */
export const USER_SERVICES = tableOf<ServiceResource>()('user-services', { by: { address: ({ addresses }) => addresses } });

/** Ranks in SERVICES: where a user and a waypoint mean the same name, it is the user's. */
export const SERVICE_RANK = { user: 0, waypoint: 1 } as const;

/** Every service there is, those that waypoints need for themselves included, by `<namespace>/<name>`. */
export const SERVICES = tableOf<ServiceResource>()('services', {
  by: { namespace: (_service, key) => [namespaceOf(key)] },
  selector: selectorOf,
});

/**
 * Service → the Gateway whose waypoint its traffic goes through, both as `<namespace>/<name>`; of a host that is described by
 * itself `<namespace>/<host>`. `canary`: the Gateway of a second waypoint that serves it, too. `owner`: what policies name to be
 * enforced there.
 */
export const SERVICE_BINDINGS = tableOf<{ gateway: string; canary: string | null; hostname: string; owner: ResourceName }>()(
  'service-bindings',
  {
    by: { namespace: (_binding, key) => [namespaceOf(key)] },
  },
);

/** Names of the services of a namespace, to suggest one. */
export function serviceNamesIn(mesh: MeshReader<typeof SERVICES>, namespace: string): string[] {
  return mesh.keysBy(SERVICES, 'namespace', namespace).map(localNameOf);
}

/** An alias has no endpoints of its own, whatever it selects. */
function selectorOf({ metadata, externalName, selector }: ServiceResource): Labelled | null {
  return externalName !== null || selector === null ? null : { namespace: metadata.namespace, labels: selector };
}

/** One entry per port number: where TCP and UDP share one (DNS does), TCP speaks for both. */
export function onePerNumber(ports: readonly ServicePortResource[]): ServicePortResource[] {
  const byNumber = new Map<number, ServicePortResource>();
  for (const port of ports) {
    const known = byNumber.get(port.port);
    if (known === undefined || (known.protocol !== 'TCP' && port.protocol === 'TCP')) byNumber.set(port.port, port);
  }
  return [...byNumber.values()];
}

/** What a mesh controller generated (the service of a waypoint, say) is never sent through a waypoint. */
export function isGenerated({ metadata }: ServiceResource): boolean {
  return MANAGED_VALUES.includes(metadata.labels[LABEL.managed] ?? '');
}
