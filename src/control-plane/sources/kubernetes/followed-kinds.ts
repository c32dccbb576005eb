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

/** What is asked of an API server about each kind, and what is held of its objects. */
export function followedKinds(kinds: readonly KindDefinition[]): ReadonlyMap<FollowedKind, KindDefinition> {
  return new Map(kinds.map((definition) => [followed(definition), definition]));
}

function followed({ kind, group, versions, cluster = {} }: KindDefinition): FollowedKind {
  const { metadataOnly = false, fieldSelector, status } = cluster;
  const specAndStatus = (object: KubeObject): Record<string, unknown> => ({
    ...(object.spec === undefined ? {} : { spec: object.spec }),
    ...(object.status === undefined || status === undefined ? {} : { status: object.status }),
  });
  const keep = metadataOnly ? () => ({}) : (cluster.keep ?? specAndStatus);
  return {
    kind,
    group,
    versions,
    metadataOnly,
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
    keep(object) {
      const fields = keep(object);
      if (fields === null) return null;
      return { apiVersion: object.apiVersion, kind: object.kind, metadata: pruned(object.metadata), ...fields };
    },
  };
}

function pruned(metadata: KubeMetadata): KubeMetadata {
  const kept: Record<string, unknown> = {};
  for (const name of METADATA) if (metadata[name] !== undefined) kept[name] = metadata[name];
  const { annotations } = metadata;
  if (annotations?.[LAST_APPLIED] !== undefined) {
    const { [LAST_APPLIED]: _, ...others } = annotations;
    kept.annotations = others;
  }
  return { ...kept, name: metadata.name };
}
