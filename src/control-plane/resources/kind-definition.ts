import type { Problem, Severity } from '#control-plane/resources/finding.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { Resource, ResourceKind } from '#control-plane/resources/resource.ts';
import type { Schema } from '#control-plane/resources/schema.ts';

/** Where the schema of a kind comes from. */
export type SchemaSource = { kind: 'built-in'; schema: Schema } | { kind: 'crd'; file: string };

/** How one kind is read. The parser calls `check` and `read` only with objects that passed the schema. */
export type KindDefinition = {
  kind: ResourceKind;
  /** '' for the core group. */
  group: string;
  versions: readonly string[];
  namespaced: boolean;
  schema: SchemaSource;
  /** Kinds that Weft enforces refuse fields they do not know; kinds it reads a part of only warn. */
  unknownFields: Severity;
  /** Rules between fields that the schema cannot state. */
  check(object: unknown): Problem[];
  read(object: unknown, metadata: Metadata): Resource;
};

type Typed<Raw> = Omit<KindDefinition, 'check' | 'read'> & {
  check(object: Raw): Problem[];
  read(object: Raw, metadata: Metadata): Resource;
};

/** `Raw` describes what the kind's schema guarantees; this is the one place where that is taken on trust. */
export function defineKind<Raw extends { metadata: RawMetadata }>(definition: Typed<Raw>): KindDefinition {
  return {
    ...definition,
    check: (object) => definition.check(object as Raw),
    read: (object, metadata) => definition.read(object as Raw, metadata),
  };
}
