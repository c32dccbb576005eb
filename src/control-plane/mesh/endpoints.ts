import type { Entry } from '#control-plane/index/table.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { RESERVED_ADDRESSES, reserve } from '#control-plane/index/vip-allocator.ts';
import { ANNOTATION, LABEL } from '#control-plane/mesh/well-known.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import type { ResourceName } from '#control-plane/resources/resource.ts';
import type { IpAddress } from '#model/address/ip.ts';

/** One network endpoint, whatever described it. What a Workload has beyond this depends on other resources. */
export type Endpoint = {
  uid: string;
  resource: ResourceName;
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
  locality: { region: string; zone: string; subzone: string };
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

/** Every endpoint, by uid. */
export const ENDPOINTS = tableOf<Endpoint>()('endpoints', {
  labels: ({ namespace, labels }) => ({ namespace, labels }),
});

/** What an endpoint is to the rest of the mesh; its addresses are never given to a service. */
export function endpointEntries(endpoint: Endpoint, rank = 0): Entry<typeof ENDPOINTS | typeof RESERVED_ADDRESSES>[] {
  return [entry(ENDPOINTS, endpoint.uid, endpoint, rank), ...reserve(endpoint.addresses)];
}

/** Tables that describing an endpoint writes. */
export const ENDPOINT_TABLES = [ENDPOINTS, RESERVED_ADDRESSES] as const;

/** The locality of what says none. */
export const NOWHERE = { region: '', zone: '', subzone: '' };

/** Whether the annotations of a resource say that its traffic is captured. */
export function isCaptured(annotations: Labels): boolean {
  return annotations[ANNOTATION.redirection] === 'enabled';
}

/** Whether the labels say that the workload speaks HBONE by itself. */
export function hasNativeTunnel(labels: Labels): boolean {
  return (labels[LABEL.tunnel] ?? '').split(',').some((protocol) => protocol.trim() === 'http');
}
