import { conditionFields } from '#model/policy/l7/condition-fields.ts';
import type { PolicyFacts } from '#model/policy/l7/facts.ts';
import { type Field, RuleFault } from '#model/policy/l7/field.ts';
import { operationFields } from '#model/policy/l7/operation-fields.ts';
import { sourceFields } from '#model/policy/l7/source-fields.ts';
import type { L7Policy, L7Rule } from '#model/waypoint/config.ts';

/** A rule as a test of a request (`http`) and of a bare TCP connection (`tcp`). */
export type CompiledRule = { http(facts: PolicyFacts): boolean; tcp(facts: PolicyFacts): boolean };

type Clauses = { from: Field[][]; to: Field[][]; when: Field[] };

/**
 * Compiles one rule. On TCP an ALLOW rule with a request attribute never matches, and a DENY rule matches
 * without its request attributes (config-api 3.6). A rule that cannot be evaluated is reported and made
 * strict: as ALLOW it never matches, as DENY it always does.
 */
export function compileRule(policy: L7Policy, rule: L7Rule, trustDomain: string, problem: (why: string) => void): CompiledRule {
  const denies = policy.action === 'deny';
  let clauses: Clauses;
  try {
    clauses = compileClauses(policy, rule, trustDomain);
  } catch (error) {
    if (!(error instanceof RuleFault)) throw error;
    problem(error.message);
    return { http: () => denies, tcp: () => denies };
  }
  const http = testOf(clauses);
  if (!usesRequest(clauses)) return { http, tcp: http };
  return { http, tcp: denies ? testOf(withoutRequest(clauses)) : () => false };
}

function compileClauses(policy: L7Policy, rule: L7Rule, trustDomain: string): Clauses {
  const context = { trustDomain, policyNamespace: policy.namespace };
  return {
    from: rule.from.map((source) => sourceFields(source, trustDomain)),
    to: rule.to.map(operationFields),
    when: rule.when.flatMap((condition) => conditionFields(condition, context)),
  };
}

function testOf({ from, to, when }: Clauses): (facts: PolicyFacts) => boolean {
  return (facts) => anyClause(from, facts) && anyClause(to, facts) && allFields(when, facts);
}

function anyClause(clauses: readonly Field[][], facts: PolicyFacts): boolean {
  return clauses.length === 0 || clauses.some((fields) => allFields(fields, facts));
}

function allFields(fields: readonly Field[], facts: PolicyFacts): boolean {
  for (const field of fields) if (!field.test(facts)) return false;
  return true;
}

function usesRequest({ from, to, when }: Clauses): boolean {
  return [...from, ...to, when].some((fields) => fields.some((field) => field.http));
}

function withoutRequest({ from, to, when }: Clauses): Clauses {
  const keep = (fields: readonly Field[]): Field[] => fields.filter((field) => !field.http);
  return { from: from.map(keep), to: to.map(keep), when: keep(when) };
}
