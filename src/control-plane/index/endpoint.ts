import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import type { RegisteredWorkload } from '#control-plane/index/registered-workload.ts';
import { ANNOTATION, LABEL } from '#control-plane/index/well-known.ts';
import type { PodResource } from '#control-plane/resources/kinds/pod.ts';
import type { WorkloadEntryResource } from '#control-plane/resources/kinds/workload-entry.ts';
import type { Labels } from '#control-plane/resources/metadata.ts';
import { nameOf, nameOfResource, type ResourceName } from '#control-plane/resources/resource.ts';
import { type IpAddress, tryParseIp } from '#model/address/ip.ts';

/** One network endpoint, whatever described it. What a Workload has beyond this depends on other resources. */
export type Endpoint = {
  uid: string;
  resource: ResourceName;
  kind: 'pod' | 'entry' | 'registered';
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

const NOWHERE = { region: '', zone: '', subzone: '' };

/** null: finished, or without an address yet. */
export function endpointOfPod(pod: PodResource, options: MeshOptions): Endpoint | null {
  const { metadata, addresses } = pod;
  if (pod.finished || addresses.length === 0) return null;
  const { name, namespace, labels } = metadata;
  return {
    uid: `${options.clusterId}//Pod/${namespace}/${name}`,
    resource: nameOfResource(pod),
    kind: 'pod',
    name,
    namespace,
    labels,
    serviceAccount: pod.serviceAccount,
    node: pod.node,
    addresses,
    hostname: '',
    network: options.network,
    locality: NOWHERE,
    weight: 1,
    hostNetwork: pod.hostNetwork,
    healthy: pod.ready,
    captured: isCaptured(metadata.annotations),
    nativeTunnel: hasNativeTunnel(labels),
    workloadName: pod.ownerName,
    namedPorts: pod.namedPorts,
  };
}

/** The endpoint that a WorkloadEntry describes. */
export function endpointOfEntry(entry: WorkloadEntryResource, options: MeshOptions): Endpoint {
  const { metadata, labels, address } = entry;
  const { name, namespace, annotations } = metadata;
  return {
    uid: `${options.clusterId}/networking.istio.io/WorkloadEntry/${namespace}/${name}`,
    resource: nameOfResource(entry),
    kind: 'entry',
    name,
    namespace,
    labels,
    serviceAccount: entry.serviceAccount,
    node: '',
    addresses: address === null ? [] : [address],
    hostname: entry.hostname,
    network: entry.network || options.network,
    locality: entry.locality,
    weight: entry.weight,
    hostNetwork: false,
    healthy: true,
    captured: isCaptured(annotations),
    nativeTunnel: hasNativeTunnel(labels),
    workloadName: annotations[ANNOTATION.autoRegistrationGroup] ?? labels[LABEL.workloadName] ?? name,
    namedPorts: entry.ports,
  };
}

/** null: it has no address yet. */
export function endpointOfRegistered(workload: RegisteredWorkload, options: MeshOptions): Endpoint | null {
  const { name, namespace, labels, enrolled, nativeTunnel } = workload;
  const addresses = workload.addresses.map(tryParseIp).filter((ip) => ip !== null);
  if (addresses.length === 0) return null;
  return {
    uid: registeredUid(workload, options),
    resource: nameOf({ kind: 'Workload', namespace, name }),
    kind: 'registered',
    name,
    namespace,
    labels,
    serviceAccount: workload.serviceAccount || 'default',
    node: workload.node,
    addresses,
    hostname: '',
    network: options.network,
    locality: NOWHERE,
    weight: 1,
    hostNetwork: false,
    // Until it is captured a peer could only reach it in plain text, so nobody is sent there.
    healthy: enrolled || nativeTunnel,
    captured: enrolled,
    nativeTunnel,
    workloadName: labels[LABEL.workloadName] ?? name,
    namedPorts: {},
  };
}

/** Key of a registered workload: one of a name in the whole mesh, whichever node runs it. */
export function registeredUid({ namespace, name }: { namespace: string; name: string }, { clusterId }: MeshOptions): string {
  return `${clusterId}/weft.dev/Workload/${namespace}/${name}`;
}

function isCaptured(annotations: Labels): boolean {
  return annotations[ANNOTATION.redirection] === 'enabled';
}

function hasNativeTunnel(labels: Labels): boolean {
  return (labels[LABEL.tunnel] ?? '').split(',').some((protocol) => protocol.trim() === 'http');
}
