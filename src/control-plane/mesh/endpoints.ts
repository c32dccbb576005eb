import type { MeshReader } from '#control-plane/index/derivation.ts';
import type { Entry } from '#control-plane/index/table.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { RESERVED_ADDRESSES, reserve } from '#control-plane/index/vip-allocator.ts';
import type { Locality } from '#control-plane/mesh/nodes.ts';
import { USER_SERVICES } from '#control-plane/mesh/services.ts';
import { ANNOTATION, LABEL } from '#control-plane/mesh/well-known.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { flatText } from '#control-plane/resources/flat-text.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { nameOf, type ResourceName } from '#control-plane/resources/resource.ts';
import { type IpAddress, specialUseOf } from '#model/address/ip.ts';

/** One network endpoint, whatever described it. What a Workload has beyond this depends on other resources. */
export type Endpoint = {
  uid: string;
  kind: 'pod' | 'entry' | 'registered';
  /** Whether its resource shows conditions of ours. */
  hasConditions: boolean;
  /** What is wrong with it by itself. */
  problems: readonly Problem[];
  name: string;
  namespace: string;
  labels: Labels;
  serviceAccount: string;
  node: string;
  addresses: readonly IpAddress[];
  hostname: string;
  network: string;
  locality: Locality;
  weight: number;
  hostNetwork: boolean;
  healthy: boolean;
  /** Annotation that says its traffic is captured, so that peers tunnel to it. */
  captured: boolean;
  nativeTunnel: boolean;
  workloadName: string;
  /** Ports by name: a container's for pods, in place of a service's targetPort for entries. */
  namedPorts: Readonly<Record<string, number>>;
};

/** Of an endpoint by itself nothing is wrong: one list for all of them. */
export const NO_PROBLEMS: readonly Problem[] = [];

const RESOURCE_KINDS = { pod: 'Pod', entry: 'WorkloadEntry', registered: 'Workload' } as const;

/** The resource that describes an endpoint: made when it is asked for, since it would be another text for each of them. */
export function endpointResource({ kind, namespace, name }: Endpoint): ResourceName {
  return nameOf({ kind: RESOURCE_KINDS[kind], namespace, name });
}

/** Every endpoint, by uid. */
export const ENDPOINTS = tableOf<Endpoint>()('endpoints', {
  labels: ({ namespace, labels }) => ({ namespace, labels }),
  // Those that share the address of their host claim none of their own.
  by: { address: ({ network, addresses, hostNetwork }) => (hostNetwork ? [] : addresses.map((ip) => addressKey(network, ip))) },
});

/** Under which an endpoint is found by an address; networks do not know each other's. */
export function addressKey(network: string, ip: IpAddress): string {
  return flatText(network, ' ', ip);
}

/**
 * The addresses of an endpoint that nobody else has, and what is to be said of the others. A workload that a node runs has what it
 * was admitted with; a resource that is written later takes nothing from it, nor from a service, nor one entry from another.
 */
export function ownAddresses(
  endpoint: Endpoint,
  mesh: MeshReader<typeof ENDPOINTS | typeof USER_SERVICES>,
): { addresses: readonly IpAddress[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const addresses = endpoint.addresses.filter((ip) => {
    const owner = ownerOf(ip, endpoint, mesh);
    if (owner === null) return true;
    const message = `address ${ip} is ${owner}; it is left out here`;
    problems.push(warningAt('WEFT_ADDRESS_CONFLICT', [], message, 'give each workload an address of its own'));
    return false;
  });
  return { addresses: addresses.length === endpoint.addresses.length ? endpoint.addresses : addresses, problems };
}

/** Whose it is, in words; null: the endpoint's own. */
function ownerOf(ip: IpAddress, endpoint: Endpoint, mesh: MeshReader<typeof ENDPOINTS | typeof USER_SERVICES>): string | null {
  if (endpoint.kind === 'registered' || endpoint.hostNetwork) return null;
  const special = specialUseOf(ip);
  if (special !== null) return `${special}, which no workload of a mesh has`;
  const [first] = mesh.valuesBy(ENDPOINTS, 'address', addressKey(endpoint.network, ip)).toSorted(byClaim);
  if (first !== undefined && first.uid !== endpoint.uid) return `that of ${endpointResource(first)}`;
  const [service] = mesh.valuesBy(USER_SERVICES, 'address', ip);
  return service === undefined ? null : `that of Service ${service.metadata.namespace}/${service.metadata.name}`;
}

/** Whoever runs for certain first: what a node told, then a ready pod, then what somebody wrote. */
function byClaim(a: Endpoint, b: Endpoint): number {
  const rank = ({ kind, healthy }: Endpoint) => (kind === 'registered' ? 0 : kind === 'pod' ? (healthy ? 1 : 2) : 3);
  return rank(a) - rank(b) || (a.uid < b.uid ? -1 : 1);
}

/** What an endpoint is to the rest of the mesh; its addresses are never given to a service. */
export function endpointEntries(endpoint: Endpoint, rank = 0): Entry<typeof ENDPOINTS | typeof RESERVED_ADDRESSES>[] {
  return [entry(ENDPOINTS, endpoint.uid, endpoint, rank), ...reserve(endpoint.addresses)];
}

/** Tables that describing an endpoint writes. */
export const ENDPOINT_TABLES = [ENDPOINTS, RESERVED_ADDRESSES] as const;

/** Whether the annotations of a resource say that its traffic is captured. */
export function isCaptured(annotations: Labels): boolean {
  return annotations[ANNOTATION.redirection] === 'enabled';
}

/** Whether the labels say that the workload speaks HBONE by itself. */
export function hasNativeTunnel(labels: Labels): boolean {
  return (labels[LABEL.tunnel] ?? '').split(',').some((protocol) => protocol.trim() === 'http');
}
