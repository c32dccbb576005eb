import type { MeshReader } from '#control-plane/index/derivation.ts';
import { tableOf } from '#control-plane/index/table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';

/** What may be referred to, in the namespace of the grant, and by whom. `name` null: everything of the kind. */
export type ReferenceGrantResource = {
  kind: 'ReferenceGrant';
  metadata: Metadata;
  from: readonly { group: string; kind: string; namespace: string }[];
  to: readonly { group: string; kind: string; name: string | null }[];
};

/** Grants, by `<namespace>/<name>`; found by the namespace that they open. */
export const REFERENCE_GRANTS = tableOf<ReferenceGrantResource>()('reference-grants', {
  by: { namespace: ({ metadata }) => [metadata.namespace] },
});

/** Who refers to a service, and to which. */
type ServiceReference = { group: string; kind: string; namespace: string; service: { namespace: string; name: string } };

/** Whether some grant of the service's namespace lets it be referred to. */
export function isGranted(
  mesh: MeshReader<typeof REFERENCE_GRANTS>,
  { group, kind, namespace, service }: ServiceReference,
): boolean {
  return mesh
    .valuesBy(REFERENCE_GRANTS, 'namespace', service.namespace)
    .some(
      ({ from, to }) =>
        from.some((one) => one.group === group && one.kind === kind && one.namespace === namespace) &&
        to.some((one) => one.group === '' && one.kind === 'Service' && (one.name ?? service.name) === service.name),
    );
}
