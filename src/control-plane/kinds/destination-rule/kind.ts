import { defineKind } from '#control-plane/index/kind-definition.ts';
import { DESTINATION_RULES, type DestinationRuleResource } from '#control-plane/mesh/destination-rules.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { fieldOf, readableMetadata, type StandIn } from '#control-plane/resources/stand-in.ts';
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
  standIn: standInForRule,
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

/**
 * What stands for a rule that cannot be used, and asks for TLS somewhere: nothing is sent to its host. Null for
 * one that asks for none: what else it says lets nothing through.
 */
function standInForRule(document: unknown, name: string): StandIn | null {
  const spec = fieldOf(document, 'spec');
  const host = fieldOf(spec, 'host');
  if (typeof host !== 'string' || !asksForTls([fieldOf(spec, 'trafficPolicy'), ...listOf(fieldOf(spec, 'subsets'))])) return null;
  const metadata = readableMetadata(document, name);
  const tls = { kind: 'refused' as const, why: `DestinationRule ${metadata.namespace}/${name} cannot be used` };
  const rule = readDestinationRule({ metadata: { name }, spec: { host } }, metadata);
  const resource: DestinationRuleResource = { ...rule, policy: { settings: { tls }, ports: [] } };
  return { resource, effect: `nothing is sent to ${host} by waypoints` };
}

/** Any of these, or a part of them that may have its own. */
function asksForTls(places: readonly unknown[]): boolean {
  return places.some((place) => {
    const mode = fieldOf(fieldOf(place, 'tls'), 'mode');
    const parts = [fieldOf(place, 'trafficPolicy'), ...listOf(fieldOf(place, 'portLevelSettings'))].filter(
      (part) => part !== undefined,
    );
    return mode === 'SIMPLE' || mode === 'MUTUAL' || asksForTls(parts);
  });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
