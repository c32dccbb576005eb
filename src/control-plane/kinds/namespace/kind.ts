import { defineKind } from '#control-plane/index/kind-definition.ts';
import { NAMESPACES } from '#control-plane/mesh/namespaces.ts';
import type { RawResource } from '#control-plane/resources/document-kind.ts';
import { ANYTHING, type Schema } from '#control-plane/resources/schema.ts';

/** Source: Kubernetes core/v1 Namespace. */
const NAMESPACE_SCHEMA: Schema = { type: 'object', properties: { spec: ANYTHING, status: ANYTHING } };

/** How a Namespace is read. Nothing is derived from it alone: others read its labels and annotations. */
export const namespaceKind = defineKind({
  kind: 'Namespace',
  group: '',
  versions: ['v1'],
  namespaced: false,
  schema: { kind: 'built-in', schema: NAMESPACE_SCHEMA },
  unknownFields: 'warning',
  check: (_raw: RawResource) => [],
  read: (_raw, metadata) => ({ kind: 'Namespace' as const, metadata }),
  resources: NAMESPACES,
  derivations: [],
});
