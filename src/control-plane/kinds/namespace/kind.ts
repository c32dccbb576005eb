import { defineKind } from '#control-plane/index/kind-definition.ts';
import { NAMESPACES } from '#control-plane/mesh/namespaces.ts';
import type { RawResource } from '#control-plane/resources/document-kind.ts';
import { ANYTHING } from '#control-plane/resources/schema.ts';

/** How a Namespace (Kubernetes core/v1) is read. Nothing is derived from it alone: others read its labels and annotations. */
export const namespaceKind = defineKind({
  kind: 'Namespace',
  group: '',
  versions: ['v1'],
  namespaced: false,
  schema: { kind: 'built-in', schema: { type: 'object', properties: { spec: ANYTHING, status: ANYTHING } } },
  unknownFields: 'warning',
  fields: { spec: { is: 'elsewhere', why: 'the books of an API server about its deletion' } },
  check: (_raw: RawResource) => [],
  read: (_raw, metadata) => ({ kind: 'Namespace' as const, metadata }),
  cluster: { metadataOnly: true },
  resources: NAMESPACES,
  derivations: [],
});
