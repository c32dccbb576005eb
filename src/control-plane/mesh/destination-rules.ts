import type { MeshReader } from '#control-plane/index/derivation.ts';
import { localNameOf, tableOf } from '#control-plane/index/table.ts';
import { isExportedTo, type NamedHost } from '#control-plane/mesh/named-hosts.ts';
import type { RuleTls } from '#control-plane/mesh/rule-tls.ts';
import { byAge, type Labels, type Metadata } from '#control-plane/resources/metadata.ts';
import type { DestinationSettings } from '#model/waypoint/destination-settings.ts';

/** How traffic is to be treated, and that to single ports; a port has all of its blocks from here but the retry budget. */
export type RulePolicy = { settings: RuleSettings; ports: readonly { port: number; settings: RuleSettings }[] };

/** What is said, at any level. */
export type RuleSettings = Omit<DestinationSettings, 'tls'> & { tls?: RuleTls };

/** A name for the endpoints of a service that have these labels. */
export type RuleSubset = { name: string; labels: Labels; policy: RulePolicy | null };

/** What is said of the traffic to a host. */
export type DestinationRuleResource = {
  kind: 'DestinationRule';
  metadata: Metadata;
  /** In lower case; a name without dots is that of a Service of the rule's namespace. May begin with `*.`, or be `*`. */
  host: string;
  exportTo: readonly string[];
  /** Only for some clients, whom a waypoint cannot tell: such a rule is not used. */
  forSomeWorkloads: boolean;
  policy: RulePolicy | null;
  subsets: readonly RuleSubset[];
};

/** Rules as they were read, found by namespace and host. */
export const DESTINATION_RULES = tableOf<DestinationRuleResource>()('destination-rules', {
  by: { host: ({ metadata, host }) => [`${metadata.namespace} ${host}`] },
});

/** All that a lookup of rules needs. */
type RuleMesh = MeshReader<typeof DESTINATION_RULES>;

/**
 * The rules that are about a host for a waypoint of a namespace, oldest first: of the first namespace that has any (the waypoint's,
 * the service's, the root), those with the most specific host. A namespace of clients is never asked (config-api 4.3).
 */
export function rulesAbout(host: NamedHost, waypointNamespace: string, mesh: RuleMesh): DestinationRuleResource[] {
  const { rootNamespace } = mesh.options;
  const order = [...(waypointNamespace === rootNamespace ? [] : [waypointNamespace]), host.namespace, rootNamespace];
  for (const namespace of new Set(order)) {
    for (const words of spellings(host, namespace)) {
      const found = words
        .flatMap((word) => mesh.valuesBy(DESTINATION_RULES, 'host', `${namespace} ${word}`))
        .filter(({ exportTo, forSomeWorkloads }) => !forSomeWorkloads && isExportedTo(exportTo, namespace, waypointNamespace));
      if (found.length > 0) return found.toSorted(byAge);
    }
  }
  return [];
}

/** The labels of a subset: of equal names the oldest rule's counts. Null: nobody has said. */
export function subsetLabels(host: NamedHost, name: string, waypointNamespace: string, mesh: RuleMesh): Labels | null {
  for (const { subsets } of rulesAbout(host, waypointNamespace, mesh))
    for (const subset of subsets) if (subset.name === name) return subset.labels;
  return null;
}

/** Names of subsets, to suggest one. */
export function subsetNames(host: NamedHost, waypointNamespace: string, mesh: RuleMesh): string[] {
  return rulesAbout(host, waypointNamespace, mesh).flatMap(({ subsets }) => subsets.map(({ name }) => name));
}

/** How a rule of a namespace may name the host, most specific first. */
function spellings({ id, hostname, namespace }: NamedHost, own: string): string[][] {
  const labels = hostname.split('.');
  const wildcards = labels.slice(1).map((_, at) => [`*.${labels.slice(at + 1).join('.')}`]);
  return [[hostname, ...(own === namespace ? [localNameOf(id)] : [])].filter(isOnce), ...wildcards, ['*']];
}

/** The host of a ServiceEntry is its own name. */
function isOnce(word: string, at: number, all: readonly string[]): boolean {
  return all.indexOf(word) === at;
}
