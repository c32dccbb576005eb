import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
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
