import { familyOf, type IpAddress } from '#model/address/ip.ts';
import { identityOf, type Workload } from '#model/mesh/workload.ts';
import { evaluate, type PolicySet } from './evaluate.ts';

/**
 * The verdict of a pair of workloads and a port (source null: plain text from anywhere), which the kernel may cache;
 * null when it depends on which addresses are used. `set`: the policies in force for the destination.
 */
export function pairVerdict(set: PolicySet, source: Workload | null, destination: Workload, port: number): boolean | null {
  if (set.policies.length === 0 && set.missing.length === 0) return true;
  if (source === null && looksAtSourceAddresses(set)) return null;
  const outcomes = new Set<boolean>();
  for (const destinationIp of destination.addresses) {
    const sourceIp = source === null ? destinationIp : sameFamily(source.addresses, destinationIp);
    if (sourceIp === null) continue;
    const connection = { source: source === null ? null : identityOf(source), sourceIp, destinationIp, destinationPort: port };
    outcomes.add(evaluate(set, connection).allowed);
  }
  const [outcome] = outcomes;
  return outcomes.size === 1 && outcome !== undefined ? outcome : null;
}

function looksAtSourceAddresses(set: PolicySet): boolean {
  return set.policies.some((policy) =>
    policy.rules.some((rule) =>
      rule.clauses.some((clause) => clause.matches.some((match) => match.sourceIps.length + match.notSourceIps.length > 0)),
    ),
  );
}

function sameFamily(addresses: readonly IpAddress[], like: IpAddress): IpAddress | null {
  return addresses.find((ip) => familyOf(ip) === familyOf(like)) ?? null;
}
