import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import { ANNOTATION } from '#control-plane/mesh/well-known.ts';
import type { Labels, Metadata } from '#control-plane/resources/metadata.ts';

/** Read for its labels and annotations: they are the defaults of what the namespace holds. */
export type NamespaceResource = { kind: 'Namespace'; metadata: Metadata };

/** By name. */
export const NAMESPACES = tableOf<NamespaceResource>()('namespaces');

/** Labels of a namespace; none when nothing describes it. */
export function namespaceLabels(mesh: MeshReader<typeof NAMESPACES>, namespace: string): Labels {
  return mesh.get(NAMESPACES, namespace)?.metadata.labels ?? {};
}

/** Annotations of a namespace; none when nothing describes it. */
export function namespaceAnnotations(mesh: MeshReader<typeof NAMESPACES>, namespace: string): Labels {
  return mesh.get(NAMESPACES, namespace)?.metadata.annotations ?? {};
}

/** Where workloads of a namespace may open connections to: anywhere, or to what the mesh knows. */
export const EGRESS_MODES = ['allow-any', 'registry-only'] as const;

/** Whether the annotations of a namespace keep its workloads from what the mesh does not know. A word that is none of these does. */
export function isRegistryOnly(annotations: Labels): boolean {
  const mode = annotations[ANNOTATION.egress];
  return mode !== undefined && mode !== 'allow-any';
}
