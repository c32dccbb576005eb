import type { MeshOptions } from '#control-plane/index/mesh-options.ts';
import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Authorization, Clause, Rule } from '#model/mesh/authorization.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';
import { conditionPart, type L4Part, operationPart, sourcePart } from './l4-match.ts';
import type { AuthorizationPolicyResource, PolicyRule } from './schema.ts';

/** A policy for nodes, and what was lost on the way. */
export type L4Conversion = {
  /** null: not enforced by nodes. */
  authorization: Authorization | null;
  problems: readonly Problem[];
  /** Of a DENY policy, the rules that deny more than was written: indexes in `authorization`. */
  httpRules: readonly number[];
  condition: { status: 'True' | 'False'; reason: string; message: string };
};

/**
 * A policy without targetRefs as nodes enforce it. What a TCP connection cannot answer makes it stricter:
 * an ALLOW rule with such a field never matches, a DENY rule matches without regard to the field.
 */
export function convertToL4(policy: AuthorizationPolicyResource, options: MeshOptions): L4Conversion {
  const { metadata, action } = policy;
  if (action === 'AUDIT' || action === 'CUSTOM') return refusedAction(action);
  const converted = policy.rules.map((rule, at) => convertRule(rule, at, policy, options));
  const problems = converted.flatMap((one) => one.problems);
  const authorization: Authorization = {
    name: metadata.name,
    namespace: metadata.namespace,
    scope: scopeOf(policy, options),
    action: action === 'ALLOW' ? 'allow' : 'deny',
    rules: converted.flatMap(({ rule }) => (rule === null ? [] : [rule])),
    dryRun: policy.dryRun,
  };
  const message =
    problems.length === 0
      ? 'enforced by the nodes'
      : problems
          .map((problem) => problem.message)
          .slice(0, RESOURCE.messagesMax)
          .join('; ');
  return {
    authorization,
    problems,
    httpRules: action === 'DENY' ? converted.flatMap((one, at) => (one.problems.length > 0 ? [at] : [])) : [],
    condition: { status: 'True', reason: problems.length === 0 ? 'Accepted' : 'UnsupportedValue', message },
  };
}

/** AUDIT and CUSTOM need a request to look at; without a waypoint there is none. */
function refusedAction(action: 'AUDIT' | 'CUSTOM'): L4Conversion {
  const message = `nodes do not enforce action ${action}: the policy has no effect`;
  const remedy = 'write ALLOW or DENY, or attach the policy to a waypoint with targetRefs';
  return {
    authorization: null,
    httpRules: [],
    problems: [warningAt('WEFT_NOT_ENFORCED', ['spec', 'action'], message, remedy)],
    condition: { status: 'False', reason: 'UnsupportedValue', message },
  };
}

/** Nodes attach a policy without a selector by themselves: to its namespace, or to the whole mesh from the root namespace. */
function scopeOf({ selector, metadata }: AuthorizationPolicyResource, { rootNamespace }: MeshOptions): Authorization['scope'] {
  if (selector !== null) return 'workload-selector';
  return metadata.namespace === rootNamespace ? 'global' : 'namespace';
}

/** Parts of a rule that are ANDed; the parts of one entry list are ORed. */
type Section = { path: FieldPath; parts: readonly L4Part[] };

/** The sections of a rule are ANDed. One that a connection cannot answer makes the rule stricter, whatever the action. */
function convertRule(
  rule: PolicyRule,
  at: number,
  { action, metadata }: AuthorizationPolicyResource,
  { trustDomain }: MeshOptions,
): { rule: Rule | null; problems: Problem[] } {
  const context = { namespace: metadata.namespace, trustDomain };
  const path = ['spec', 'rules', at];
  const sections: Section[] = [
    { path: [...path, 'to'], parts: rule.to.map(operationPart) },
    { path: [...path, 'from'], parts: rule.from.map((source) => sourcePart(source, context)) },
    ...rule.when.map((condition, index) => ({ path: [...path, 'when', index], parts: [conditionPart(condition, context)] })),
  ].filter(({ parts }) => parts.length > 0);
  const unenforceable = sections.flatMap(({ parts }) => parts.flatMap((part) => part.unenforceable));
  const clauses = sections.flatMap(clauseOf);
  if (unenforceable.length === 0) return { rule: { clauses }, problems: [] };
  const fields = [...new Set(unenforceable)].join(', ');
  const where = sections.find(({ parts }) => parts.some((part) => part.unenforceable.length > 0))?.path ?? path;
  const problem = action === 'ALLOW' ? neverMatches(where, at, fields) : matchesMore(where, at, fields, clauses);
  return { rule: action === 'ALLOW' ? null : { clauses }, problems: [problem] };
}

/** None when one of the entries is left without a restriction: then the section is always true. */
function clauseOf({ parts }: Section): Clause[] {
  const matches = parts.map(({ match }) => match);
  const unrestricted = matches.some((match) => Object.values(match).every((list: readonly unknown[]) => list.length === 0));
  return unrestricted ? [] : [{ matches }];
}

/** An ALLOW rule that cannot be checked must not let anybody in. */
function neverMatches(path: FieldPath, rule: number, fields: string): Problem {
  const message = `nodes see TCP only, so rule ${rule} with ${fields} never matches, and what no other rule allows is denied`;
  return warningAt('WEFT_NOT_ENFORCED', path, message, 'attach the policy to the waypoint: use targetRefs with kind Service');
}

/** A DENY rule that cannot be checked in full keeps out everybody that its other fields match. */
function matchesMore(path: FieldPath, rule: number, fields: string, clauses: readonly Clause[]): Problem {
  const scope = clauses.length === 0 ? 'denies all traffic' : 'denies everything that its other fields match';
  const message =
    `nodes see TCP only, so rule ${rule} ${scope}, whatever its ${fields}, but for calls of waypoints ` +
    'that check it in full because they serve every workload it selects';
  return warningAt(
    'WEFT_NOT_ENFORCED',
    path,
    message,
    'add ports, or attach the policy to the waypoint: use targetRefs with kind Service',
  );
}
