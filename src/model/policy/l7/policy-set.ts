import { type PolicyKey, policyKeyOf } from '#model/mesh/authorization.ts';
import type { PolicyFacts } from '#model/policy/l7/facts.ts';
import { compileRule } from '#model/policy/l7/rule.ts';
import type { L7Policy } from '#model/waypoint/config.ts';

/** The rule that decided; `index` counts from 0 in the policy's own list. */
export type PolicyHit = { readonly policy: PolicyKey; readonly index: number };

/** `by` null: for allow, no ALLOW policy applies; for deny, none of those that apply matched. */
export type PolicyVerdict = { readonly kind: 'allow' | 'deny'; readonly by: PolicyHit | null };

/** What the dry-run policies would have decided; `allow` null: there is no dry-run ALLOW policy. */
export type DryRunVerdict = { readonly deny: PolicyHit | null; readonly allow: PolicyVerdict | null };

type Entry = {
  readonly hit: PolicyHit;
  readonly verdict: PolicyVerdict;
  http(facts: PolicyFacts): boolean;
  tcp(facts: PolicyFacts): boolean;
};

type Side = { readonly deny: readonly Entry[]; readonly allow: readonly Entry[]; readonly hasAllow: boolean };

/** The policies of one target, compiled once per configuration change. */
export type PolicySet = { readonly enforced: Side; readonly dryRun: Side | null };

const ALLOW_WITHOUT_POLICY: PolicyVerdict = { kind: 'allow', by: null };
const DENY_WITHOUT_MATCH: PolicyVerdict = { kind: 'deny', by: null };

/** Compiles policies in the order of their names; unusable rules are reported through `problem` and made strict. */
export function compilePolicies(policies: readonly L7Policy[], trustDomain: string, problem: (why: string) => void): PolicySet {
  const ordered = [...policies].sort((a, b) => (policyKeyOf(a) < policyKeyOf(b) ? -1 : 1));
  const dry = ordered.filter((policy) => policy.dryRun);
  const enforced = ordered.filter((policy) => !policy.dryRun);
  return {
    enforced: sideOf(enforced, trustDomain, problem),
    dryRun: dry.length === 0 ? null : sideOf(dry, trustDomain, problem),
  };
}

/** DENY first, then ALLOW; with no ALLOW policy everything else passes (config-api 3.5). */
export function evaluate(policies: PolicySet, facts: PolicyFacts): PolicyVerdict {
  return decide(policies.enforced, facts);
}

/** Null when no policy is in dry run. */
export function evaluateDryRun(policies: PolicySet, facts: PolicyFacts): DryRunVerdict | null {
  const { dryRun } = policies;
  if (dryRun === null) return null;
  const deny = firstHit(dryRun.deny, facts);
  return { deny: deny?.hit ?? null, allow: dryRun.hasAllow ? decide({ ...dryRun, deny: [] }, facts) : null };
}

function decide(side: Side, facts: PolicyFacts): PolicyVerdict {
  const denied = firstHit(side.deny, facts);
  if (denied !== null) return denied.verdict;
  if (!side.hasAllow) return ALLOW_WITHOUT_POLICY;
  return firstHit(side.allow, facts)?.verdict ?? DENY_WITHOUT_MATCH;
}

function firstHit(entries: readonly Entry[], facts: PolicyFacts): Entry | null {
  for (const entry of entries) if (facts.http === null ? entry.tcp(facts) : entry.http(facts)) return entry;
  return null;
}

function sideOf(policies: readonly L7Policy[], trustDomain: string, problem: (why: string) => void): Side {
  const allow = policies.filter((policy) => policy.action === 'allow');
  const deny = policies.filter((policy) => policy.action === 'deny');
  const entries = (list: readonly L7Policy[]): Entry[] => list.flatMap((policy) => entriesOf(policy, trustDomain, problem));
  return { deny: entries(deny), allow: entries(allow), hasAllow: allow.length > 0 };
}

function entriesOf(policy: L7Policy, trustDomain: string, problem: (why: string) => void): Entry[] {
  const key = policyKeyOf(policy);
  return policy.rules.map((rule, index) => {
    const hit = { policy: key, index };
    const compiled = compileRule(policy, rule, trustDomain, (why) => problem(`AuthorizationPolicy ${key} rule ${index}: ${why}`));
    return { hit, verdict: { kind: policy.action, by: hit }, http: compiled.http, tcp: compiled.tcp };
  });
}
