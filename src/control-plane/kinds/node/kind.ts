import { defineDerivation } from '#control-plane/index/derivation.ts';
import { defineKind } from '#control-plane/index/kind-definition.ts';
import { entry, tableOf } from '#control-plane/index/table.ts';
import { NODE_LOCALITIES } from '#control-plane/mesh/nodes.ts';
import { LABEL } from '#control-plane/mesh/well-known.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { ANYTHING } from '#control-plane/resources/schema.ts';

/** Read for its labels: they say where it is. */
type NodeResource = { kind: 'Node'; metadata: Metadata };

/** By name. */
const NODES = tableOf<NodeResource>()('nodes');

/** Apart from the node, whose other labels and annotations change more often than where it stands. */
const nodeLocalities = defineDerivation({
  name: 'node',
  each: NODES,
  reads: [],
  writes: [NODE_LOCALITIES],
  derive({ key, value: { metadata } }) {
    const { [LABEL.region]: region = '', [LABEL.zone]: zone = '', [LABEL.subzone]: subzone = '' } = metadata.labels;
    // A zone without a region is one, too: that of a mesh in one place.
    return region + zone + subzone === '' ? [] : [entry(NODE_LOCALITIES, key, { region, zone, subzone })];
  },
});

/** How a Node (Kubernetes core/v1) is read. On hosts it is the one thing that says where a node is; nobody else is asked for it. */
export const nodeKind = defineKind({
  kind: 'Node',
  group: '',
  versions: ['v1'],
  namespaced: false,
  schema: { kind: 'built-in', schema: { type: 'object', properties: { spec: ANYTHING, status: ANYTHING } } },
  unknownFields: 'warning',
  fields: { spec: { is: 'elsewhere', why: 'it is about which pods run on it' } },
  check: () => [],
  read: (_raw, metadata): NodeResource => ({ kind: 'Node', metadata }),
  // It says what is preferred, not what is allowed.
  restricts: false,
  cluster: { metadataOnly: true },
  resources: NODES,
  derivations: [nodeLocalities],
});
