import type { ClusterPart, ClusterPod, ClusterPolicy, ClusterPorts } from '#model/check/cluster.ts';
import { REDIRECTION, SIDECAR_STATUS } from '#model/mesh/membership.ts';
import type { KubeObject } from './objects.ts';

type Labels = Readonly<Record<string, string>>;
type RawPod = {
  spec?: { nodeName?: string; hostNetwork?: boolean; containers?: RawContainer[] };
  status?: { phase?: string; startTime?: string; conditions?: { type?: string; status?: string }[] };
};
type RawContainer = { image?: string; ports?: { name?: string; containerPort?: number }[] };
type RawPolicy = { spec?: { podSelector?: Selector; policyTypes?: string[]; ingress?: RawRule[] } };
type Selector = { matchLabels?: Labels; matchExpressions?: unknown[] };
type RawRule = { ports?: { protocol?: string; port?: number | string; endPort?: number }[] };
type RawPart = {
  spec?: { replicas?: number };
  status?: { readyReplicas?: number; numberReady?: number; desiredNumberScheduled?: number };
};

/** A pod of the cluster as it is looked at. */
export function clusterPodOf(object: KubeObject, nowMs: number): ClusterPod {
  const { spec = {}, status = {} } = object as RawPod;
  const { name, namespace = '', labels = {}, annotations = {} } = object.metadata;
  const sinceMs = status.phase === 'Running' ? Date.parse(status.startTime ?? '') : Number.NaN;
  return {
    ...{ name, namespace, labels, node: spec.nodeName ?? '', agoMs: Number.isNaN(sinceMs) ? null : nowMs - sinceMs },
    isMarked: annotations[REDIRECTION] === 'enabled',
    ports: Object.fromEntries((spec.containers ?? []).flatMap(({ ports = [] }) => ports.map(portNamed))),
    hostNetwork: spec.hostNetwork === true,
    hasSidecar: annotations[SIDECAR_STATUS] !== undefined,
  };
}

/** One without a name is found by its number. */
function portNamed({ name = '', containerPort = 0 }: { name?: string; containerPort?: number }): [string, number] {
  return [name, containerPort];
}

/** Whether it says of itself that it is ready: a node, or a pod. */
export function isReadyObject(object: KubeObject): boolean {
  const { conditions = [] } = (object as RawPod).status ?? {};
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** Images of the containers of a pod. */
export function imagesOf(object: KubeObject): string[] {
  return (object as RawPod).spec?.containers?.flatMap(({ image }) => image ?? []) ?? [];
}

/** How many pods a Deployment or DaemonSet wants and has. */
export function clusterPartOf(object: KubeObject): ClusterPart {
  const { spec = {}, status = {} } = object as RawPart;
  const wanted = status.desiredNumberScheduled ?? spec.replicas ?? 1;
  return { name: object.metadata.name, wanted, ready: status.numberReady ?? status.readyReplicas ?? 0 };
}

/** A NetworkPolicy on what comes in; null: it is on something else. */
export function clusterPolicyOf(object: KubeObject): ClusterPolicy | null {
  const { podSelector = {}, policyTypes = ['Ingress'], ingress = [] } = (object as RawPolicy).spec ?? {};
  if (!policyTypes.includes('Ingress')) return null;
  const { name, namespace = '' } = object.metadata;
  const selects = (podSelector.matchExpressions ?? []).length > 0 ? null : (podSelector.matchLabels ?? {});
  return { name, namespace, selects, ports: ingress.map(portsOf) };
}

/** A port by its name is one of the pod's own, and never that of tunnels. */
function portsOf({ ports = [] }: RawRule): ClusterPorts {
  if (ports.length === 0) return null;
  const ofTcp = ports.filter(({ protocol = 'TCP' }) => protocol === 'TCP');
  if (ofTcp.some(({ port }) => port === undefined)) return null;
  return ofTcp.flatMap(({ port, endPort }) => (typeof port === 'number' ? { from: port, to: endPort ?? port } : []));
}
