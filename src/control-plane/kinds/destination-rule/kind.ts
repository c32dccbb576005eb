import { defineKind } from '#control-plane/index/kind-definition.ts';
import { DESTINATION_RULES, type DestinationRuleResource } from '#control-plane/mesh/destination-rules.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { checkDestinationRule } from './check.ts';
import { destinationRuleStatus } from './derive.ts';
import { DESTINATION_RULE_FIELDS } from './fields.ts';
import { readPolicy } from './read-policy.ts';
import type { RawDestinationRule } from './schema.ts';

/** How a DestinationRule is read: waypoints that route to its subsets look it up. */
export const destinationRuleKind = defineKind<RawDestinationRule, DestinationRuleResource>({
  kind: 'DestinationRule',
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  namespaced: true,
  schema: { kind: 'crd', file: 'networking.istio.io_destinationrules.yaml' },
  unknownFields: 'error',
  fields: DESTINATION_RULE_FIELDS,
  check: checkDestinationRule,
  read: readDestinationRule,
  resources: DESTINATION_RULES,
  derivations: [destinationRuleStatus],
});

/** The check has refused a document without spec. */
function readDestinationRule({ spec }: RawDestinationRule, metadata: Metadata): DestinationRuleResource {
  return {
    kind: 'DestinationRule',
    metadata,
    host: (spec?.host ?? '').toLowerCase(),
    exportTo: spec?.exportTo ?? [],
    forSomeWorkloads: spec?.workloadSelector !== undefined,
    // Of several rules about one host the first that has one is heard.
    policy: readPolicy(spec?.trafficPolicy),
    subsets: (spec?.subsets ?? []).map(({ name, labels, trafficPolicy }) => ({
      name,
      labels: labels ?? {},
      policy: readPolicy(trafficPolicy),
    })),
  };
}
