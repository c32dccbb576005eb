import { type IpAddress, tryParseIp } from '#model/address/ip.ts';
import { CAPTURE_ANNOTATIONS, captureAnnotations } from '#model/mesh/capture.ts';
import { DATAPLANE_MODE, REDIRECTION, SIDECAR_STATUS } from '#model/mesh/membership.ts';
import { type ProbedContainer, probedPorts } from '#model/mesh/probed-ports.ts';
import type { EnrollmentRequest } from '#node-agent/enrollment/enrollment.ts';
import type { FollowedKind } from '#protocol/kubernetes/following.ts';
import type { KubeMetadata, KubeObject, ServedKind } from '#protocol/kubernetes/objects.ts';

/** What of a pod the agent of its node acts on. */
export type FollowedPod = {
  uid: string;
  /** By which its runtime knows it: of a pod that a file of its node describes, another one. */
  runtimeUid: string;
  name: string;
  namespace: string;
  serviceAccount: string;
  /** Those that say whether it is in the mesh. */
  labels: Readonly<Record<string, string>>;
  /** Those that say what of its traffic is not captured. */
  annotations: Readonly<Record<string, string>>;
  hostNetwork: boolean;
  hasSidecar: boolean;
  /** It says that its traffic is captured. */
  isCaptured: boolean;
  /** Its containers have ended for good. */
  hasEnded: boolean;
  addresses: readonly IpAddress[];
  /** Ports that the kubelet connects to. */
  probed: readonly number[];
};

/** How an API server serves pods, and namespaces. */
export const PODS: ServedKind = { group: '', version: 'v1', kind: 'Pod', plural: 'pods', namespaced: true };
/** The same of namespaces. */
export const NAMESPACES: ServedKind = { group: '', version: 'v1', kind: 'Namespace', plural: 'namespaces', namespaced: false };

/** The pods of one node, each cut to what is read of it. */
export function podsOfNode(node: string): FollowedKind {
  const { group, version, kind } = PODS;
  return { group, kind, versions: [version], builtIn: true, fieldSelector: `spec.nodeName=${node}`, keep: keepPod };
}

/** Namespaces by their labels alone. */
export const FOLLOWED_NAMESPACES: FollowedKind = {
  ...{ group: NAMESPACES.group, kind: NAMESPACES.kind, versions: [NAMESPACES.version], builtIn: true, metadataOnly: true },
  keep: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata: keepMetadata(metadata) }),
};

/** By which a kubelet tells the pod that the API server has from the one that a file of its node describes. */
const CONFIG_HASH = 'kubernetes.io/config.hash';

type RawPod = {
  spec?: {
    serviceAccountName?: string;
    hostNetwork?: boolean;
    containers?: ProbedContainer[];
    initContainers?: ProbedContainer[];
    /** Of containers and init containers, as it is kept in their place. */
    probed?: number[];
  };
  status?: { phase?: string; podIP?: string; podIPs?: { ip?: string }[] };
};

function keepPod(object: KubeObject): KubeObject {
  const { spec = {}, status = {} } = object as RawPod;
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: keepMetadata(object.metadata),
    spec: {
      serviceAccountName: spec.serviceAccountName,
      hostNetwork: spec.hostNetwork,
      probed: probedPorts([...(spec.containers ?? []), ...(spec.initContainers ?? [])]),
    },
    status: { phase: status.phase, podIP: status.podIP, podIPs: status.podIPs },
  };
}

function keepMetadata({ name, namespace, uid, labels = {}, annotations = {} }: KubeMetadata): KubeMetadata {
  const kept = (from: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> =>
    Object.fromEntries(Object.entries(from).filter(([key]) => names.includes(key)));
  return {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
    labels: kept(labels, [DATAPLANE_MODE]),
    annotations: kept(annotations, [REDIRECTION, SIDECAR_STATUS, CONFIG_HASH, ...Object.values(CAPTURE_ANNOTATIONS)]),
  };
}

/** A pod as it was told. */
export function readPod(object: KubeObject): FollowedPod {
  const { spec = {}, status = {} } = object as RawPod;
  const { name, namespace = '', uid = '', labels = {}, annotations = {} } = object.metadata;
  const told = status.podIPs?.map(({ ip = '' }) => ip) ?? [];
  const addresses = (told.length > 0 ? told : [status.podIP ?? '']).flatMap((ip) => tryParseIp(ip) ?? []);
  return {
    ...{ uid, name, namespace, labels, addresses, annotations: captureAnnotations(annotations), probed: spec.probed ?? [] },
    runtimeUid: annotations[CONFIG_HASH] ?? uid,
    serviceAccount: spec.serviceAccountName || 'default',
    hostNetwork: spec.hostNetwork === true,
    hasSidecar: annotations[SIDECAR_STATUS] !== undefined,
    isCaptured: annotations[REDIRECTION] === 'enabled',
    hasEnded: status.phase === 'Succeeded' || status.phase === 'Failed',
  };
}

/** A pod as the agent before this one had it; null: what was kept is none. */
export function keptPod({
  pod,
  name,
  namespace,
  serviceAccount,
  addresses,
  annotations = {},
}: EnrollmentRequest): FollowedPod | null {
  if (pod === undefined) return null;
  return {
    ...{
      uid: pod.uid,
      runtimeUid: pod.uid,
      name,
      namespace,
      serviceAccount,
      labels: {},
      hostNetwork: false,
      hasSidecar: false,
      hasEnded: false,
    },
    ...{ isCaptured: true, annotations, probed: pod.probed },
    addresses: addresses.flatMap((ip) => tryParseIp(ip) ?? []),
  };
}
