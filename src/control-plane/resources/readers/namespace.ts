import { NAMESPACE_SCHEMA } from '#control-plane/resources/core-schemas.ts';
import { defineKind } from '#control-plane/resources/kind-definition.ts';
import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/** How a Namespace is read. */
export const namespaceKind = defineKind<{ metadata: RawMetadata }>({
  kind: 'Namespace',
  group: '',
  versions: ['v1'],
  namespaced: false,
  schema: { kind: 'built-in', schema: NAMESPACE_SCHEMA },
  unknownFields: 'warning',
  check: () => [],
  read: (_raw, metadata) => ({ kind: 'Namespace', metadata }),
});
