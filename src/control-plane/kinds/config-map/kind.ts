import { defineDerivation } from '#control-plane/index/derivation.ts';
import { defineKind } from '#control-plane/index/kind-definition.ts';
import { STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { AUTHORIZERS, type AuthorizerSpec } from '#control-plane/mesh/authorizers.ts';
import { CA_CERTIFICATES, CA_KEY, type CaCertificates, readCaCertificates } from '#control-plane/mesh/ca-certificates.ts';
import { ENFORCED } from '#control-plane/resources/field-table.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { ANYTHING, type Schema, TEXTS } from '#control-plane/resources/schema.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import { type MeshDocument, readMeshDocument } from './mesh-document.ts';

/** Istio's name for the ConfigMap that holds what the whole mesh shares. */
const MESH_CONFIG_MAP = 'istio';
/** Where it has that. */
const MESH_KEY = 'mesh';

/** The document, once its schema has passed. */
type RawConfigMap = { metadata: RawMetadata; data?: Record<string, string> | null };

/** What Weft reads of a ConfigMap. */
type ConfigMapResource = {
  kind: 'ConfigMap';
  metadata: Metadata;
  authorizers: readonly AuthorizerSpec[];
  /** Null: it holds none. */
  authorities: CaCertificates | null;
};

/** Source: Kubernetes core/v1. */
const CONFIG_MAP_SCHEMA: Schema = {
  type: 'object',
  properties: { data: TEXTS, binaryData: ANYTHING, immutable: ANYTHING },
};

/** ConfigMaps as they were read. */
const CONFIG_MAPS = tableOf<ConfigMapResource>()('config-maps');

/** The ConfigMap of that name in the root namespace says what the whole mesh shares; any other may hold authorities. */
const configMaps = defineDerivation({
  name: 'configuration map',
  each: CONFIG_MAPS,
  reads: [],
  writes: [AUTHORIZERS, CA_CERTIFICATES, ...STATUS],
  derive({ key, value }, mesh) {
    if (value.authorities !== null) return [entry(CA_CERTIFICATES, key, value.authorities)];
    const own = `${mesh.options.rootNamespace}/${MESH_CONFIG_MAP}`;
    // Each provider is an entry of its own: whoever looks one up hears of changes of that one alone.
    if (key === own) return value.authorizers.map((one) => entry(AUTHORIZERS, one.name, one));
    const message = `a ConfigMap is read for certificates in ${CA_KEY}, and ${own} for the mesh configuration: this one has no effect here`;
    return statusOf(nameOfResource(value), [], [warningAt('WEFT_KIND_UNKNOWN', ['metadata', 'name'], message, 'nothing to do')]);
  },
});

const NOTHING: MeshDocument = { authorizers: [], problems: [] };

/** How a ConfigMap is read: Istio keeps in one of them what the whole mesh shares, and others name authorities. */
export const configMapKind = defineKind<RawConfigMap, ConfigMapResource>({
  kind: 'ConfigMap',
  group: '',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'built-in', schema: CONFIG_MAP_SCHEMA },
  unknownFields: 'warning',
  fields: {
    'data.*': ENFORCED,
    binaryData: { is: 'elsewhere', why: 'a mesh configuration is text, and so are certificates' },
    immutable: { is: 'elsewhere', why: 'it is for the API server' },
  },
  check: (raw): Problem[] => [...meshDocument(raw).problems, ...checkAuthorities(raw)],
  read: (raw, metadata: Metadata) => ({
    kind: 'ConfigMap',
    metadata,
    authorizers: meshDocument(raw).authorizers,
    authorities: authoritiesOf(raw),
  }),
  cluster: {
    // All others of a cluster are nobody's business here, and may hold anything, but for those that somebody refers to.
    fieldSelector: `metadata.name=${MESH_CONFIG_MAP}`,
    named: { plural: 'configmaps' },
    keep({ data }) {
      const kept = [MESH_KEY, CA_KEY].flatMap((key) => {
        const value = fieldOf(data, key);
        return value === undefined ? [] : [[key, value] as const];
      });
      return { data: Object.fromEntries(kept) };
    },
  },
  resources: CONFIG_MAPS,
  derivations: [configMaps],
});

/** Read for the check, and again for the resource: it is small, and read when it changes. */
function meshDocument({ metadata, data }: RawConfigMap): MeshDocument {
  const text = metadata.name === MESH_CONFIG_MAP ? data?.[MESH_KEY] : undefined;
  return text === undefined ? NOTHING : readMeshDocument(text);
}

/** Null: it holds none. The mesh configuration is no place for them. */
function authoritiesOf({ metadata, data }: RawConfigMap): CaCertificates | null {
  const text = metadata.name === MESH_CONFIG_MAP ? undefined : data?.[CA_KEY];
  return text === undefined ? null : readCaCertificates(text);
}

/** Who refers to it is told as well, and refused. */
function checkAuthorities(raw: RawConfigMap): Problem[] {
  const authorities = authoritiesOf(raw);
  if (authorities === null || authorities.kind === 'usable') return [];
  const remedy = 'write certificates in PEM, one after the other';
  return [warningAt('WEFT_FIELD_INVALID', ['data', CA_KEY], `no authority is known by it: ${authorities.why}`, remedy)];
}
