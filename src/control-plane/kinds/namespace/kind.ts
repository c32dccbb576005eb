import { defineKind } from '#control-plane/index/kind-definition.ts';
import { EGRESS_MODES, NAMESPACES } from '#control-plane/mesh/namespaces.ts';
import { ANNOTATION } from '#control-plane/mesh/well-known.ts';
import type { RawResource } from '#control-plane/resources/document-kind.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { ANYTHING } from '#control-plane/resources/schema.ts';

/** How a Namespace (Kubernetes core/v1) is read. Nothing is derived from it alone: others read its labels and annotations. */
export const namespaceKind = defineKind({
  kind: 'Namespace',
  group: '',
  versions: ['v1'],
  namespaced: false,
  schema: { kind: 'built-in', schema: { type: 'object', properties: { spec: ANYTHING, status: ANYTHING } } },
  unknownFields: 'warning',
  fields: { spec: { is: 'elsewhere', why: 'the books of an API server about its deletion' } },
  check: checkNamespace,
  read: (_raw, metadata) => ({ kind: 'Namespace' as const, metadata }),
  cluster: { metadataOnly: true },
  resources: NAMESPACES,
  derivations: [],
});

/** What is misspelt restricts, as what was meant may have. */
function checkNamespace({ metadata }: RawResource): Problem[] {
  const mode = metadata.annotations?.[ANNOTATION.egress];
  if (mode === undefined || EGRESS_MODES.some((known) => known === mode)) return [];
  const message = `"${mode}" is no way out of a namespace${didYouMean(mode, EGRESS_MODES)}; it is taken for registry-only`;
  return [
    warningAt(
      'WEFT_LIKELY_MISTAKE',
      ['metadata', 'annotations', ANNOTATION.egress],
      message,
      `write one of ${EGRESS_MODES.join(', ')}`,
    ),
  ];
}
