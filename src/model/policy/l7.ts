import { policyKeyOf } from '#model/mesh/authorization.ts';
import type { ExternalAuthorizer } from '#model/waypoint/authorizer.ts';
import type { L7Policy, L7Rule } from '#model/waypoint/config.ts';
import type { CustomRules } from './custom.ts';
import { conditionFields, type Field, operationFields, type PolicyFacts, RuleFault, sourceFields } from './l7-fields.ts';
import { ALWAYS, type Clause, type Decider, decide, type Entry, firstHit, NEVER, type PolicyHit } from './match.ts';

/** `by` null: for allow, no ALLOW policy applies; for deny, none of those that apply matched. */
export type PolicyVerdict = { readonly kind: 'allow' | 'deny'; readonly by: PolicyHit | null };

/** What the dry-run policies would have decided; `allow` null: there is no dry-run ALLOW policy. */
export type DryRunVerdict = { readonly deny: PolicyHit | null; readonly allow: PolicyVerdict | null };

type L7Decider = Decider<PolicyFacts, PolicyVerdict>;

/** One reading of the rules for requests, one for bare TCP connections. */
type Readings = { readonly http: L7Decider; readonly tcp: L7Decider };

/** The policies of one target, compiled once per configuration change. */
export type L7Policies = {
  readonly enforced: Readings;
  readonly dryRun: Readings | null;
  /** What of them asks somebody else about requests, by the names of those who are asked. */
  readonly custom: readonly CustomRules[];
};

/** Hears of rules that cannot be used. */
type ProblemSink = (why: string) => void;

const ALLOW_WITHOUT_POLICY: PolicyVerdict = { kind: 'allow', by: null };
const DENY_WITHOUT_MATCH: PolicyVerdict = { kind: 'deny', by: null };

/**
 * Compiles policies in the order of their names; unusable rules are reported through `problem` and made strict. `authorizers`: those
 * whom CUSTOM policies may name.
 */
export function compileL7(
  policies: readonly L7Policy[],
  trustDomain: string,
  problem: ProblemSink,
  authorizers: readonly ExternalAuthorizer[] = [],
): L7Policies {
  const compiled = policies
    .toSorted((a, b) => (policyKeyOf(a) < policyKeyOf(b) ? -1 : 1))
    .map((policy): Compiled => {
      const authorizer = authorizers.find(({ name }) => policy.action === 'custom' && name === policy.authorizer) ?? null;
      return { policy, authorizer, rules: compilePolicy(policy, trustDomain, problem) };
    });
  const dry = compiled.filter(({ policy }) => policy.dryRun);
  return {
    enforced: readingsOf(compiled.filter(({ policy }) => !policy.dryRun)),
    dryRun: dry.length === 0 ? null : readingsOf(dry),
    custom: customRules(compiled),
  };
}

/** Sorted by name, as Envoy asks them. */
function customRules(compiled: readonly Compiled[]): CustomRules[] {
  const asked = new Set(compiled.flatMap(({ authorizer }) => (authorizer === null ? [] : [authorizer])));
  return [...asked]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((authorizer) => {
      const entries = (isDryRun: boolean, reading: 'http' | 'tcp' = 'http'): Entry<PolicyFacts, PolicyHit>[] =>
        compiled
          .filter(({ policy, authorizer: named }) => named === authorizer && policy.dryRun === isDryRun)
          .flatMap(({ rules }) => rules.map((rule) => ({ clauses: rule[reading], verdict: rule.by })));
      const connections = seesConnections(authorizer) ? entries(false, 'tcp') : [];
      return { authorizer, enforced: entries(false), dryRun: entries(true), connections };
    });
}

/** What the policies in force say of a request, or of a connection without HTTP. */
export function decideL7(policies: L7Policies, facts: PolicyFacts): PolicyVerdict {
  return decide(facts.http === null ? policies.enforced.tcp : policies.enforced.http, facts);
}

/** Null when no policy is in dry run. */
export function dryRunL7({ dryRun }: L7Policies, facts: PolicyFacts): DryRunVerdict | null {
  if (dryRun === null) return null;
  const decider = facts.http === null ? dryRun.tcp : dryRun.http;
  const deny = firstHit(decider.deny, facts)?.verdict.by ?? null;
  return { deny, allow: decider.otherwise === ALLOW_WITHOUT_POLICY ? null : decide({ ...decider, deny: [] }, facts) };
}

/** By HTTP nothing could be said of a connection that has no request. */
function seesConnections({ http }: ExternalAuthorizer): boolean {
  return http === null;
}

/** What CUSTOM matches is denied where nobody is known that could be asked: for connections, by gRPC. */
function readingsOf(compiled: readonly Compiled[]): Readings {
  const otherwise = compiled.some(({ policy }) => policy.action === 'allow') ? DENY_WITHOUT_MATCH : ALLOW_WITHOUT_POLICY;
  const read = (reading: 'http' | 'tcp'): L7Decider => {
    const entriesOf = (kind: 'allow' | 'deny'): Entry<PolicyFacts, PolicyVerdict>[] =>
      compiled
        .filter(({ policy, authorizer }) => {
          const isAsked = authorizer !== null && (reading === 'http' || seesConnections(authorizer));
          return (policy.action === 'allow') === (kind === 'allow') && !isAsked;
        })
        .flatMap(({ rules }) => rules.map((rule) => ({ verdict: { kind, by: rule.by }, clauses: rule[reading] })));
    return { deny: entriesOf('deny'), allow: entriesOf('allow'), otherwise };
  };
  return { http: read('http'), tcp: read('tcp') };
}

type RuleReadings = { readonly http: readonly Clause<PolicyFacts>[]; readonly tcp: readonly Clause<PolicyFacts>[] };
type CompiledRule = RuleReadings & { readonly by: PolicyHit };
/** `authorizer`: of CUSTOM, who is asked; null where nobody is known, and of other actions. */
type Compiled = {
  readonly policy: L7Policy;
  readonly authorizer: ExternalAuthorizer | null;
  readonly rules: readonly CompiledRule[];
};

function compilePolicy(policy: L7Policy, trustDomain: string, problem: ProblemSink): CompiledRule[] {
  const key = policyKeyOf(policy);
  return policy.rules.map((rule, index) => {
    const report = (why: string): void => problem(`AuthorizationPolicy ${key} rule ${index}: ${why}`);
    return { ...compileRule(policy, rule, trustDomain, report), by: { policy: key, index } };
  });
}

/**
 * Compiles one rule. On TCP an ALLOW rule with a request attribute never matches, and a DENY or CUSTOM rule matches
 * without its request attributes (config-api 3.6). A rule that cannot be evaluated is reported and made
 * strict: as ALLOW it never matches, else it always does.
 */
function compileRule(policy: L7Policy, rule: L7Rule, trustDomain: string, problem: ProblemSink): RuleReadings {
  const denies = policy.action !== 'allow';
  let clauses: Clauses;
  try {
    clauses = compileClauses(policy, rule, trustDomain);
  } catch (error) {
    if (!(error instanceof RuleFault)) throw error;
    problem(error.message);
    const strict = denies ? ALWAYS : NEVER;
    return { http: strict, tcp: strict };
  }
  const http = testsOf(clauses);
  if (!clauses.some((alternatives) => alternatives.some((fields) => fields.some((field) => field.http))))
    return { http, tcp: http };
  return { http, tcp: denies ? testsOf(withoutRequest(clauses)) : NEVER };
}

/** Fields are ANDed to an alternative, alternatives ORed to a clause, clauses ANDed. */
type Clauses = readonly (readonly (readonly Field[])[])[];

function compileClauses(policy: L7Policy, { from, to, when }: L7Rule, trustDomain: string): Clauses {
  const context = { trustDomain, policyNamespace: policy.namespace };
  const clauses = [
    from.map((source) => sourceFields(source, trustDomain)),
    to.map(operationFields),
    when.length === 0 ? [] : [when.flatMap((condition) => conditionFields(condition, context))],
  ];
  return clauses.filter((alternatives) => alternatives.length > 0); // an absent list restricts nothing
}

function testsOf(clauses: Clauses): Clause<PolicyFacts>[] {
  return clauses.map((alternatives) => alternatives.map((fields) => fields.map(({ test }) => test)));
}

function withoutRequest(clauses: Clauses): Clauses {
  return clauses.map((alternatives) => alternatives.map((fields) => fields.filter((field) => !field.http)));
}
