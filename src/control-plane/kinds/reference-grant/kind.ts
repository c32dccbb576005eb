import { defineKind } from '#control-plane/index/kind-definition.ts';
import { REFERENCE_GRANTS, type ReferenceGrantResource } from '#control-plane/mesh/reference-grants.ts';
import { eachField } from '#control-plane/resources/field-table.ts';
import type { RawMetadata } from '#control-plane/resources/metadata.ts';

/** The document, once its schema has passed. */
type RawReferenceGrant = {
  metadata: RawMetadata;
  spec: { from: { group: string; kind: string; namespace: string }[]; to: { group: string; kind: string; name?: string }[] };
};

/** How a ReferenceGrant is read: routes look whether one lets them send to another namespace. */
export const referenceGrantKind = defineKind<RawReferenceGrant, ReferenceGrantResource>({
  kind: 'ReferenceGrant',
  group: 'gateway.networking.k8s.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.k8s.io_referencegrants.yaml' },
  unknownFields: 'error',
  fields: { ...eachField('spec.from[].', 'group kind namespace'), ...eachField('spec.to[].', 'group kind name') },
  check: () => [],
  read: ({ spec: { from, to } }, metadata) => ({
    kind: 'ReferenceGrant',
    metadata,
    from: from.map(({ group, kind, namespace }) => ({ group, kind, namespace })),
    to: to.map(({ group, kind, name }) => ({ group, kind, name: name || null })),
  }),
  // Without it less is allowed.
  restricts: false,
  resources: REFERENCE_GRANTS,
  derivations: [],
});
