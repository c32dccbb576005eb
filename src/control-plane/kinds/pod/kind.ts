import { defineDerivation } from '#control-plane/index/derivation.ts';
import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { tableOf } from '#control-plane/index/table.ts';
import {
  ENDPOINT_TABLES,
  type Endpoint,
  endpointEntries,
  hasNativeTunnel,
  isCaptured,
  NO_PROBLEMS,
} from '#control-plane/mesh/endpoints.ts';
import { type Locality, localityOf, NODE_LOCALITIES } from '#control-plane/mesh/nodes.ts';
import { errorAt, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { flatText } from '#control-plane/resources/flat-text.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import { tryParseIp } from '#model/address/ip.ts';
import { POD_IN_CLUSTER } from './cluster.ts';
import { POD_FIELDS } from './fields.ts';
import { POD_SCHEMA, type PodResource, type RawPod } from './schema.ts';

/** Pods as they were read. */
const PODS = tableOf<PodResource>()('pods');

/** The endpoint of each pod that has an address and has not ended. */
const podEndpoints = defineDerivation({
  name: 'pod',
  each: PODS,
  reads: [NODE_LOCALITIES],
  writes: [...ENDPOINT_TABLES],
  derive({ value }, mesh) {
    const endpoint = endpointOf(value, localityOf(mesh, value.node), mesh.options);
    return endpoint === null ? [] : endpointEntries(endpoint);
  },
});

/** How a Pod is read. */
export const podKind = defineKind({
  kind: 'Pod',
  group: '',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'built-in', schema: POD_SCHEMA },
  unknownFields: 'warning',
  fields: POD_FIELDS,
  check: checkPod,
  read: readPod,
  // Without it there is nothing to reach: no loss that could open anything.
  restricts: false,
  cluster: POD_IN_CLUSTER,
  resources: PODS,
  derivations: [podEndpoints],
});

/** A pod that is being deleted still exists, but nobody is sent there any more. */
function readPod({ metadata: rawMetadata, spec, status }: RawPod, metadata: Metadata): PodResource {
  return {
    kind: 'Pod',
    metadata,
    // The second is its older name, which Kubernetes still takes.
    serviceAccount: spec.serviceAccountName || spec.serviceAccount || 'default',
    node: spec.nodeName ?? '',
    addresses: podIpsOf(status)
      .map(({ ip }) => tryParseIp(ip))
      .filter((ip) => ip !== null),
    hostNetwork: spec.hostNetwork === true,
    finished: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    // It may still finish what it has; nothing new is sent to it.
    ready: !metadata.deleting && isReady(status),
    namedPorts: namedPortsOf(spec),
    ownerName: ownerNameOf(rawMetadata, metadata),
  };
}

/** A pod that a person describes in a file has no conditions: it counts as ready unless its phase says otherwise. */
function isReady(status: RawPod['status']): boolean {
  const conditions = status?.conditions;
  // Nobody probes what is written in a file.
  if (conditions === undefined) return status?.phase === undefined || status.phase === 'Running';
  return conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True');
}

/** The list holds every family; the single address is there for pods written by hand. */
function podIpsOf(status: RawPod['status']): { ip: string; path: (string | number)[] }[] {
  const list = (status?.podIPs ?? []).map(({ ip }, at) => ({ ip: ip ?? '', path: ['status', 'podIPs', at, 'ip'] }));
  const all = list.length > 0 ? list : [{ ip: status?.podIP ?? '', path: ['status', 'podIP'] }];
  return all.filter(({ ip }) => ip !== '');
}

/** Sidecars (init containers that keep running) serve ports too; plain init containers are gone by then. */
function namedPortsOf({ containers = [], initContainers = [] }: RawPod['spec']): Record<string, number> {
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  const named: Record<string, number> = {};
  for (const { ports = [] } of [...containers, ...sidecars]) {
    for (const { name, containerPort, protocol } of ports) {
      // Only TCP is carried, and the first port of a name wins, as in Kubernetes.
      if (name !== undefined && (protocol ?? 'TCP') === 'TCP') named[name] ??= containerPort;
    }
  }
  return named;
}

/** A Deployment owns its pods through a ReplicaSet, whose name is the Deployment's and a hash. */
function ownerNameOf({ ownerReferences = [] }: RawMetadata, { name, labels }: Metadata): string {
  // At most one owner is the controller; without one the first is as good as any.
  const owner = ownerReferences.find(({ controller }) => controller === true) ?? ownerReferences[0];
  if (owner === undefined) return name;
  const hash = labels['pod-template-hash'];
  const isDeployment = owner.kind === 'ReplicaSet' && hash !== undefined && owner.name.endsWith(`-${hash}`);
  return isDeployment ? owner.name.slice(0, -(hash.length + 1)) : owner.name;
}

/** A pod without an address is normal in a cluster and a mistake in a file, so it is only a warning. */
function checkPod({ status }: RawPod): Problem[] {
  const ips = podIpsOf(status);
  const problems = ips
    .filter(({ ip }) => tryParseIp(ip) === null)
    .map(({ ip, path }) => errorAt('WEFT_FIELD_INVALID', path, `"${ip}" is not an IP address`, 'write an IPv4 or IPv6 address'));
  // With an address, right or wrong, it was meant to be an endpoint.
  if (ips.length > 0) return problems;
  const message = 'the pod has no address, so it is no endpoint of the mesh';
  return [warningAt('WEFT_LIKELY_MISTAKE', ['status'], message, 'set status.podIP; for processes on this machine use weft run')];
}

/** null: finished, or without an address yet. */
function endpointOf(pod: PodResource, locality: Locality, options: MeshOptions): Endpoint | null {
  const { metadata, addresses } = pod;
  if (pod.finished || addresses.length === 0) return null;
  const { name, namespace, labels } = metadata;
  return {
    uid: flatText(options.clusterId, '//Pod/', namespace, '/', name),
    kind: 'pod',
    // Pods have no status of ours: what is wrong with their binding is a problem only.
    hasConditions: false,
    problems: NO_PROBLEMS,
    name,
    namespace,
    labels,
    serviceAccount: pod.serviceAccount,
    node: pod.node,
    addresses,
    hostname: '',
    network: options.network,
    locality,
    weight: 1,
    hostNetwork: pod.hostNetwork,
    healthy: pod.ready,
    captured: isCaptured(metadata.annotations),
    nativeTunnel: hasNativeTunnel(labels),
    workloadName: pod.ownerName,
    namedPorts: pod.namedPorts,
  };
}
