import { cidrContains, type IpAddress } from '#model/address/ip.ts';
import { type Identity, principalOf } from '#model/identity/identity.ts';
import {
  type Authorization,
  type Clause,
  type Match,
  type PolicyKey,
  policyKeyOf,
  type StringMatch,
} from '#model/mesh/authorization.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';

/** One connection as L4 policy sees it. `source` is null without an authenticated peer. */
export type Connection = {
  source: Identity | null;
  sourceIp: IpAddress;
  /** Address and port of the workload itself, never of the VIP (B47). */
  destinationIp: IpAddress;
  destinationPort: number;
};

/** `policy` and `rule` (index) name what decided; null when no policy applies. */
export type Decision = { allowed: boolean; policy: PolicyKey | null; rule: number | null; reason: string };

/** Policies in force for a destination; `missing` are keys it names that are not known (yet). */
export type PolicySet = { policies: readonly Authorization[]; missing: readonly PolicyKey[] };

/** GLOBAL, the workload's namespace, and those its record lists (spec node-proxy 5.3). */
export function policiesFor(mesh: MeshState, destination: Workload): PolicySet {
  const policies: Authorization[] = [];
  const missing: PolicyKey[] = [];
  for (const policy of mesh.policies()) {
    if (policy.scope === 'global' || (policy.scope === 'namespace' && policy.namespace === destination.namespace))
      policies.push(policy);
  }
  for (const key of destination.authorizationPolicies) {
    const policy = mesh.policy(key);
    if (policy === null) missing.push(key);
    else policies.push(policy);
  }
  return { policies, missing };
}

/**
 * DENY before ALLOW; an ALLOW policy in force that does not match denies (B42, B43).
 * A policy that is named but unknown denies: an unknown DENY must not fail open.
 */
export function evaluate(set: PolicySet, connection: Connection): Decision {
  const enforced = set.policies.filter((policy) => !policy.dryRun);
  for (const policy of enforced) {
    const rule = policy.action === 'deny' ? matchingRule(policy, connection) : null;
    if (rule !== null)
      return {
        allowed: false,
        policy: policyKeyOf(policy),
        rule,
        reason: `explicitly denied by ${policyKeyOf(policy)} rule ${rule}`,
      };
  }
  const unknown = set.missing[0];
  if (unknown !== undefined)
    return { allowed: false, policy: unknown, rule: null, reason: `policy ${unknown} applies but is not known yet` };
  const allows = enforced.filter((policy) => policy.action === 'allow');
  if (allows.length === 0) return { allowed: true, policy: null, rule: null, reason: 'no policy restricts it' };
  for (const policy of allows) {
    const rule = matchingRule(policy, connection);
    if (rule !== null)
      return { allowed: true, policy: policyKeyOf(policy), rule, reason: `allowed by ${policyKeyOf(policy)} rule ${rule}` };
  }
  const names = allows.map(policyKeyOf).join(', ');
  return {
    allowed: false,
    policy: allows[0] === undefined ? null : policyKeyOf(allows[0]),
    rule: null,
    reason: `allow policies exist (${names}), but none allowed`,
  };
}

/** Dry-run policies that would have matched: for the log only (B48). */
export function dryRunMatches(set: PolicySet, connection: Connection): PolicyKey[] {
  return set.policies.filter((policy) => policy.dryRun && matchingRule(policy, connection) !== null).map(policyKeyOf);
}

/** Whether anything at all could refuse an unauthenticated connection to this destination, on any port. */
export function restrictsPlaintext(set: PolicySet): boolean {
  return (
    set.missing.length > 0 ||
    set.policies.some((policy) => !policy.dryRun && (policy.action === 'allow' || policy.rules.length > 0))
  );
}

function matchingRule(policy: Authorization, connection: Connection): number | null {
  const index = policy.rules.findIndex((rule) => rule.clauses.every((clause) => clauseMatches(clause, connection)));
  return index < 0 ? null : index;
}

function clauseMatches(clause: Clause, connection: Connection): boolean {
  return clause.matches.length === 0 || clause.matches.some((match) => matchMatches(match, connection));
}

function matchMatches(match: Match, connection: Connection): boolean {
  if (isEmpty(match)) return false; // B44
  const { source, sourceIp, destinationIp, destinationPort } = connection;
  const principal = source === null ? null : principalOf(source);
  const namespace = source?.namespace ?? '';
  const isAccount = (account: { namespace: string; serviceAccount: string }): boolean =>
    source !== null && account.namespace === source.namespace && account.serviceAccount === source.serviceAccount;
  return (
    accepts(match.principals, match.notPrincipals, (entry) => stringMatches(entry, principal)) &&
    accepts(match.namespaces, match.notNamespaces, (entry) => stringMatches(entry, namespace)) &&
    accepts(match.serviceAccounts, match.notServiceAccounts, isAccount) &&
    accepts(match.sourceIps, match.notSourceIps, (cidr) => cidrContains(cidr, sourceIp)) &&
    accepts(match.destinationIps, match.notDestinationIps, (cidr) => cidrContains(cidr, destinationIp)) &&
    accepts(match.destinationPorts, match.notDestinationPorts, (port) => port === destinationPort)
  );
}

function isEmpty(match: Match): boolean {
  return Object.values(match).every((list: readonly unknown[]) => list.length === 0);
}

/** Values ORed; the negative list must have no hit. */
function accepts<T>(positive: readonly T[], negative: readonly T[], hit: (entry: T) => boolean): boolean {
  return (positive.length === 0 || positive.some(hit)) && !negative.some(hit);
}

/** `value` null: no identity, which matches nothing, not even presence. */
function stringMatches(match: StringMatch, value: string | null): boolean {
  if (value === null) return false;
  switch (match.kind) {
    case 'exact':
      return value === match.value;
    case 'prefix':
      return value.startsWith(match.value);
    case 'suffix':
      return value.endsWith(match.value);
    case 'presence':
      return value !== '';
  }
}
