import type { KubeObject, ServedKind } from './objects.ts';

/** Kinds that have objects of one namespace, among those of our manifests. */
const NAMESPACED: ReadonlySet<string> = new Set([
  ...['ServiceAccount', 'Service', 'Deployment', 'DaemonSet', 'Role', 'RoleBinding', 'PodDisruptionBudget'],
]);

/** How an API server serves the kind of an object of a manifest, by the names that Kubernetes forms of kinds. */
export function servedKindOf({ apiVersion, kind }: KubeObject): ServedKind {
  const [version = '', group = ''] = apiVersion.split('/').reverse();
  const singular = kind.toLowerCase();
  const plural = singular.endsWith('y') ? `${singular.slice(0, -1)}ies` : `${singular}s`;
  return { group, version, kind, plural, namespaced: NAMESPACED.has(kind) };
}

/** The object with this image in the place of another: of its containers, and where an argument of them names it. */
export function withImage(object: KubeObject, from: string, to: string): KubeObject {
  return JSON.parse(JSON.stringify(object), (_key, value: unknown) =>
    typeof value === 'string' && (value === from || value.endsWith(`=${from}`)) ? value.slice(0, -from.length) + to : value,
  ) as KubeObject;
}

type Rollout = {
  metadata: { generation?: number };
  spec?: { replicas?: number };
  status?: {
    observedGeneration?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    desiredNumberScheduled?: number;
    updatedNumberScheduled?: number;
    numberAvailable?: number;
  };
};

/** Of the pods that a Deployment or DaemonSet wants by its last change, how many are there and ready. */
export function rolloutOf(object: KubeObject): { wanted: number; ready: number } {
  const { metadata, spec = {}, status = {} } = object as Rollout;
  const isSeen = (status.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const wanted = object.kind === 'DaemonSet' ? (status.desiredNumberScheduled ?? 1) : (spec.replicas ?? 1);
  const [updated = 0, available = 0] =
    object.kind === 'DaemonSet'
      ? [status.updatedNumberScheduled, status.numberAvailable]
      : [status.updatedReplicas, status.availableReplicas];
  return { wanted, ready: isSeen ? Math.min(updated, available) : 0 };
}
