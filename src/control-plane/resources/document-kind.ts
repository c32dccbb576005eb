import type { ClusterKind } from '#control-plane/resources/cluster-kind.ts';
import type { FieldTable } from '#control-plane/resources/field-table.ts';
import type { Problem, Severity } from '#control-plane/resources/finding.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import type { Resource } from '#control-plane/resources/resource.ts';
import type { Schema } from '#control-plane/resources/schema.ts';
import type { StandIn } from '#control-plane/resources/stand-in.ts';

/** Where the schema of a kind comes from. */
export type SchemaSource = { kind: 'built-in'; schema: Schema } | { kind: 'crd'; file: string };

/** What every document is once its schema has passed. */
export type RawResource = { metadata: RawMetadata };

/** How documents of one kind are read. The parser calls `check` and `read` only with objects that passed the schema. */
export type DocumentKind = {
  kind: string;
  /** '' for the core group. */
  group: string;
  versions: readonly string[];
  namespaced: boolean;
  schema: SchemaSource;
  /** Kinds that Weft enforces refuse fields they do not know; kinds it reads a part of only warn. */
  unknownFields: Severity;
  /** What becomes of each field of its schema. */
  fields: FieldTable;
  /** False: another controller answers for the fields of this document. */
  isOurs?(object: unknown): boolean;
  /** Rules between fields that the schema cannot state. */
  check(object: unknown): Problem[];
  read(object: unknown, metadata: Metadata): Resource;
  /** False: losing one opens nothing. Of all others the last good version is kept over restarts: they restrict, or bind a waypoint. */
  restricts?: boolean;
  /** How its objects are followed in a cluster; without it, by the defaults. */
  cluster?: ClusterKind;
  /** What takes the place of a document that cannot be used; it may be anything. Null where that opens nothing. */
  standIn?(document: unknown, name: string): StandIn | null;
};
