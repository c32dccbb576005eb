import type { Derivation } from '#control-plane/index/derivation.ts';
import type { AnyTable, Table } from '#control-plane/index/table.ts';
import type { DocumentKind, RawResource } from '#control-plane/resources/document-kind.ts';
import type { Problem } from '#control-plane/resources/finding.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import type { Resource } from '#control-plane/resources/resource.ts';

/** All there is to know about one kind of resource: how its documents are read, and what follows from them. */
export type KindDefinition = DocumentKind & {
  /** Its resources as they were read, by `<namespace>/<name>` (by name when they have no namespace). */
  resources: AnyTable;
  derivations: readonly Derivation[];
};

/** `Raw`: what the schema of the kind guarantees. This is the one place where that is taken on trust. */
export function defineKind<Raw extends RawResource, Read extends Resource>(
  definition: Omit<KindDefinition, 'check' | 'read' | 'resources' | 'isOurs'> & {
    check(object: Raw): Problem[];
    isOurs?(object: Raw): boolean;
    read(object: Raw, metadata: Metadata): Read;
    resources: Table<Read>;
  },
): KindDefinition {
  return {
    ...definition,
    isOurs: (object) => definition.isOurs?.(object as Raw) ?? true,
    check: (object) => definition.check(object as Raw),
    read: (object, metadata) => definition.read(object as Raw, metadata),
  };
}

/** What a mesh is derived with: its kinds, and derivations that belong to no kind alone. */
export type MeshDefinitions = { kinds: readonly KindDefinition[]; derivations: readonly Derivation[] };
