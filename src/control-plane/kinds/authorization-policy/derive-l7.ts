import { type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { L7Condition, L7Operation, L7Policy, L7Rule, L7Source } from '#model/waypoint/config.ts';
import { trustDomainPattern } from './l4-match.ts';
import type { AuthorizationPolicyResource, PolicyCondition, PolicyRule, PolicySource } from './schema.ts';

type Enforced = Exclude<AuthorizationPolicyResource['action'], 'AUDIT'>;
/** As waypoints call them. */
const L7_ACTION = { ALLOW: 'allow', DENY: 'deny', CUSTOM: 'custom' } as const satisfies Record<Enforced, L7Policy['action']>;
/** What becomes of a rule with a field that waypoints cannot check. */
const EFFECT: Readonly<Record<Enforced, string>> = {
  ALLOW: 'its rule never matches',
  DENY: 'its rule denies without regard to it',
  CUSTOM: 'its rule asks without regard to it',
};

/** A policy for waypoints, and what was lost on the way. */
export type L7Conversion = {
  /** null: waypoints do not enforce it. */
  policy: L7Policy | null;
  problems: readonly Problem[];
};

/** Attributes of `when` that a waypoint can answer. */
const CONDITION_KEYS: readonly string[] = [
  'source.ip',
  'remote.ip',
  'source.namespace',
  'source.principal',
  'source.serviceAccount',
  'source.trustDomain',
  'destination.ip',
  'destination.port',
  'request.auth.principal',
  'request.auth.audiences',
  'request.auth.presenter',
];

/** Fields of a source that need what a waypoint does not have yet (trusted proxies). */
const UNENFORCEABLE = ['remoteIpBlocks', 'notRemoteIpBlocks'] as const;

/**
 * A policy with targetRefs as waypoints enforce it. What they cannot answer makes it stricter: an ALLOW rule
 * with such a field is dropped, a DENY or CUSTOM rule loses the field.
 */
export function convertToL7(resource: AuthorizationPolicyResource): L7Conversion {
  const { metadata, action, dryRun } = resource;
  if (action === 'AUDIT') {
    const message = 'waypoints do not record AUDIT policies: the policy has no effect';
    return {
      policy: null,
      problems: [
        warningAt('WEFT_NOT_ENFORCED', ['spec', 'action'], message, 'use ALLOW or DENY, with istio.io/dry-run to only report'),
      ],
    };
  }
  const problems: Problem[] = [];
  const rules: L7Rule[] = [];
  for (const [at, rule] of resource.rules.entries()) {
    const converted = convertRule(rule, ['spec', 'rules', at], metadata.namespace);
    // Stricter for all: no rule to allow by, or a rule that denies, or asks about, more.
    const drop = converted.unenforceable.length > 0 && action === 'ALLOW';
    if (!drop) rules.push(converted.rule);
    problems.push(...converted.unenforceable.map((field) => explain(field, action)));
  }
  const { namespace, name } = metadata;
  const asks = action === 'CUSTOM' ? { authorizer: resource.provider } : {};
  return { policy: { namespace, name, action: L7_ACTION[action], ...asks, dryRun, rules }, problems };
}

type Unenforceable = { name: string; path: FieldPath };

/** A problem per field, at the field, so that its author sees which part of the rule is lost. */
function explain({ name, path }: Unenforceable, action: Enforced): Problem {
  const effect = EFFECT[action];
  return warningAt('WEFT_NOT_ENFORCED', path, `waypoints cannot check ${name}: ${effect}`, `remove ${name}`);
}

/** The rule as far as a waypoint can check it, with the fields it cannot. */
function convertRule(rule: PolicyRule, path: FieldPath, namespace: string): { rule: L7Rule; unenforceable: Unenforceable[] } {
  const unenforceable: Unenforceable[] = [];
  const from = rule.from.map((source, at) => {
    const converted = convertSource(source, namespace);
    unenforceable.push(...converted.missing.map((name) => ({ name, path: [...path, 'from', at, 'source', name] })));
    return converted.source;
  });
  const when: L7Condition[] = [];
  for (const [at, condition] of rule.when.entries()) {
    if (isAnswerable(condition)) when.push(convertCondition(condition, namespace));
    else unenforceable.push({ name: condition.key, path: [...path, 'when', at, 'key'] });
  }
  return { rule: { from, to: rule.to.map((operation): L7Operation => ({ ...operation })), when }, unenforceable };
}

/** An all-empty source restricts nothing: right for DENY, whose rule matches more, and dropped for ALLOW. */
function convertSource(source: PolicySource, namespace: string): { source: L7Source; missing: string[] } {
  const missing: string[] = UNENFORCEABLE.filter((field) => source[field].length > 0);
  const wanted = source.trustDomains.map(trustDomainPattern);
  const unwanted = source.notTrustDomains.map(trustDomainPattern);
  const wantedFits = !wanted.includes(null) && (wanted.length === 0 || source.principals.length === 0);
  if (!wantedFits) missing.push('trustDomains');
  if (unwanted.includes(null)) missing.push('notTrustDomains');
  const known = (patterns: readonly (string | null)[], fits: boolean) => (fits ? patterns.filter((one) => one !== null) : []);
  return {
    source: {
      principals: [...source.principals, ...known(wanted, wantedFits)],
      notPrincipals: [...source.notPrincipals, ...known(unwanted, !unwanted.includes(null))],
      namespaces: source.namespaces,
      notNamespaces: source.notNamespaces,
      serviceAccounts: source.serviceAccounts.map((account) => completeAccount(account, namespace)),
      notServiceAccounts: source.notServiceAccounts.map((account) => completeAccount(account, namespace)),
      ipBlocks: source.ipBlocks,
      notIpBlocks: source.notIpBlocks,
      // Most sources have none: their waypoints are told less.
      ...(source.requestPrincipals.length > 0 && { requestPrincipals: source.requestPrincipals }),
      ...(source.notRequestPrincipals.length > 0 && { notRequestPrincipals: source.notRequestPrincipals }),
    },
    missing,
  };
}

/** A bare name means an account of the namespace of the policy. */
function completeAccount(account: string, namespace: string): string {
  return account.includes('/') ? account : `${namespace}/${account}`;
}

/** Headers and claims are the attributes with an index. */
function isAnswerable({ key }: PolicyCondition): boolean {
  return CONDITION_KEYS.includes(key) || key.startsWith('request.headers[') || key.startsWith('request.auth.claims[');
}

/** Only accounts have a short form; every other value is compared as it is written. */
function convertCondition({ key, values, notValues }: PolicyCondition, namespace: string): L7Condition {
  if (key !== 'source.serviceAccount') return { key, values, notValues };
  const complete = (list: readonly string[]) => list.map((account) => completeAccount(account, namespace));
  return { key, values: complete(values), notValues: complete(notValues) };
}
