import { defineDerivation } from '#control-plane/index/derivation.ts';
import { defineKind } from '#control-plane/index/kind-definition.ts';
import { STATUS, statusOf } from '#control-plane/index/outputs.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { AUTHORIZERS, type AuthorizerSpec } from '#control-plane/mesh/authorizers.ts';
import { ENFORCED } from '#control-plane/resources/field-table.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Metadata, RawMetadata } from '#control-plane/resources/metadata.ts';
import { nameOfResource } from '#control-plane/resources/resource.ts';
import { ANYTHING, type Schema, TEXTS } from '#control-plane/resources/schema.ts';
import { type MeshDocument, readMeshDocument } from './mesh-document.ts';

/** Istio's name for the ConfigMap that holds what the whole mesh shares. */
const MESH_CONFIG_MAP = 'istio';

/** The document, once its schema has passed. */
type RawConfigMap = { metadata: RawMetadata; data?: Record<string, string> | null };

/** What Weft reads of a ConfigMap. */
type ConfigMapResource = { kind: 'ConfigMap'; metadata: Metadata; authorizers: readonly AuthorizerSpec[] };

/** Source: Kubernetes core/v1. */
const CONFIG_MAP_SCHEMA: Schema = {
  type: 'object',
  properties: { data: TEXTS, binaryData: ANYTHING, immutable: ANYTHING },
};

/** ConfigMaps as they were read. */
const CONFIG_MAPS = tableOf<ConfigMapResource>()('config-maps');

/** What the whole mesh shares: the ConfigMap of that name in the root namespace says it, and no other. */
const meshConfig = defineDerivation({
  name: 'mesh configuration',
  each: CONFIG_MAPS,
  reads: [],
  writes: [AUTHORIZERS, ...STATUS],
  derive({ key, value }, mesh) {
    const own = `${mesh.options.rootNamespace}/${MESH_CONFIG_MAP}`;
    // Each provider is an entry of its own: whoever looks one up hears of changes of that one alone.
    if (key === own) return value.authorizers.map((one) => entry(AUTHORIZERS, one.name, one));
    const message = `the one ConfigMap that is read is ${own}, with the mesh configuration: this one has no effect here`;
    return statusOf(nameOfResource(value), [], [warningAt('WEFT_KIND_UNKNOWN', ['metadata', 'name'], message, 'nothing to do')]);
  },
});

const NOTHING: MeshDocument = { authorizers: [], problems: [] };

/** How a ConfigMap is read: Istio keeps in one of them what the whole mesh shares. */
export const configMapKind = defineKind<RawConfigMap, ConfigMapResource>({
  kind: 'ConfigMap',
  group: '',
  versions: ['v1'],
  namespaced: true,
  schema: { kind: 'built-in', schema: CONFIG_MAP_SCHEMA },
  unknownFields: 'warning',
  fields: {
    'data.*': ENFORCED,
    binaryData: { is: 'elsewhere', why: 'a mesh configuration is text' },
    immutable: { is: 'elsewhere', why: 'it is for the API server' },
  },
  check: (raw): Problem[] => [...meshDocument(raw).problems],
  read: (raw, metadata: Metadata) => ({ kind: 'ConfigMap', metadata, authorizers: meshDocument(raw).authorizers }),
  cluster: {
    // All others of a cluster are nobody's business here, and may hold anything.
    fieldSelector: `metadata.name=${MESH_CONFIG_MAP}`,
    keep: ({ data }) => ({ data: { mesh: (data as Record<string, unknown> | undefined)?.mesh ?? '' } }),
  },
  resources: CONFIG_MAPS,
  derivations: [meshConfig],
});

/** Read for the check, and again for the resource: it is small, and read when it changes. */
function meshDocument({ metadata, data }: RawConfigMap): MeshDocument {
  const text = metadata.name === MESH_CONFIG_MAP ? data?.mesh : undefined;
  return text === undefined ? NOTHING : readMeshDocument(text);
}
