import type { KindDefinition } from '#control-plane/index/kind-definition.ts';
import type { FollowedKind } from '#protocol/kubernetes/following.ts';
import type { KubeMetadata, KubeObject } from '#protocol/kubernetes/objects.ts';

/** Fields of the metadata that somebody reads. */
const METADATA: readonly string[] = [
  ...['name', 'namespace', 'uid', 'resourceVersion', 'generation', 'labels', 'annotations'],
  ...['creationTimestamp', 'deletionTimestamp', 'ownerReferences'],
];
/** What kubectl keeps for itself: the whole object once more. */
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Kinds whose status somebody reads or writes. */
const WITH_STATUS: readonly string[] = [
  ...['Gateway', 'HTTPRoute', 'TCPRoute', 'Service', 'AuthorizationPolicy', 'PeerAuthentication', 'WorkloadEntry'],
];

/** What is asked of an API server about each kind, and what is held of its objects. */
export function followedKinds(kinds: readonly KindDefinition[]): FollowedKind[] {
  return kinds.map(({ kind, group, versions }) => {
    const wanted = { kind, group, versions };
    switch (kind) {
      case 'Pod':
        // One that has ended is no endpoint; there may be many of them.
        return { ...wanted, fieldSelector: 'status.phase!=Failed,status.phase!=Succeeded', keep: keepPod };
      case 'Namespace':
        return { ...wanted, metadataOnly: true, keep: (object) => pruned(object, {}) };
      default:
        return { ...wanted, keep: WITH_STATUS.includes(kind) ? keepWithStatus : keepSpec };
    }
  });
}

/** The object with other fields, and of its metadata what is read. */
function pruned({ apiVersion, kind, metadata }: KubeObject, fields: object): KubeObject {
  return { apiVersion, kind, metadata: prunedMetadata(metadata), ...fields };
}

function prunedMetadata(metadata: KubeMetadata): KubeMetadata {
  const kept: Record<string, unknown> = {};
  for (const name of METADATA) if (metadata[name] !== undefined) kept[name] = metadata[name];
  const { annotations } = metadata;
  if (annotations?.[LAST_APPLIED] !== undefined) {
    const { [LAST_APPLIED]: _, ...others } = annotations;
    kept.annotations = others;
  }
  return { ...kept, name: metadata.name };
}

function keepSpec(object: KubeObject): KubeObject {
  return pruned(object, object.spec === undefined ? {} : { spec: object.spec });
}

function keepWithStatus(object: KubeObject): KubeObject {
  return { ...keepSpec(object), ...(object.status === undefined ? {} : { status: object.status }) };
}

type RawPod = {
  spec?: {
    nodeName?: string;
    serviceAccountName?: string;
    hostNetwork?: boolean;
    containers?: RawContainer[];
    initContainers?: RawContainer[];
  };
  status?: { phase?: string; podIP?: string; podIPs?: unknown[]; conditions?: { type?: string; status?: string }[] };
};
type RawContainer = { ports?: RawPort[]; restartPolicy?: string };
type RawPort = { name?: string | undefined; containerPort?: number | undefined; protocol?: string | undefined };

/** A tenth of what a pod is. Without an address it is nothing to the mesh yet: null. */
function keepPod(object: KubeObject): KubeObject | null {
  const { spec = {}, status = {} } = object as RawPod;
  if (status.podIP === undefined || status.podIP === '') return null;
  const { nodeName, serviceAccountName, hostNetwork, containers = [], initContainers = [] } = spec;
  const sidecars = initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always');
  return pruned(object, {
    spec: { nodeName, serviceAccountName, hostNetwork, containers: portsOf(containers), initContainers: portsOf(sidecars) },
    status: {
      phase: status.phase,
      podIP: status.podIP,
      podIPs: status.podIPs,
      conditions: (status.conditions ?? [])
        .filter(({ type }) => type === 'Ready')
        .map(({ type, status: is }) => ({ type, status: is })),
    },
  });
}

/** Ports by name are all that is asked of containers. */
function portsOf(containers: readonly RawContainer[]): RawContainer[] {
  return containers.flatMap(({ ports = [], restartPolicy }) => {
    const named = ports
      .filter(({ name }) => name !== undefined)
      .map(({ name, containerPort, protocol }) => ({ name, containerPort, protocol }));
    return named.length === 0 ? [] : [{ ports: named, ...(restartPolicy === undefined ? {} : { restartPolicy }) }];
  });
}
