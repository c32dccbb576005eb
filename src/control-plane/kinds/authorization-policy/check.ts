import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import { checkSelector } from '#control-plane/resources/label-selector.ts';
import { didYouMean } from '#control-plane/resources/nearest-name.ts';
import { checkCondition } from './check-condition.ts';
import { checkValues } from './check-values.ts';
import {
  DRY_RUN_ANNOTATION,
  type RawAuthorizationPolicy,
  type RawOperation,
  type RawRule,
  type RawSource,
  type RawTargetRef,
} from './schema.ts';

/** What the schema cannot state about an AuthorizationPolicy. */
export function checkAuthorizationPolicy(policy: RawAuthorizationPolicy): Problem[] {
  const { spec = {} } = policy;
  return [
    ...checkSelector(spec.selector),
    ...checkScope(policy),
    ...checkAction(spec),
    ...checkDryRun(policy),
    ...(spec.rules ?? []).flatMap((rule, at) => checkRule(rule, ['spec', 'rules', at])),
  ];
}

/** group → kinds that a policy may be attached to. */
const TARGET_KINDS: Readonly<Record<string, readonly string[]>> = {
  '': ['Service'],
  core: ['Service'],
  'gateway.networking.k8s.io': ['Gateway', 'GatewayClass'],
  'networking.istio.io': ['ServiceEntry'],
};

/** A policy is enforced by nodes (selector) or by waypoints (targets), never by both: one of the two would be a surprise. */
function checkScope({ metadata, spec = {} }: RawAuthorizationPolicy): Problem[] {
  const given = (['selector', 'targetRef', 'targetRefs'] as const).filter((name) => spec[name] !== undefined);
  const problems: Problem[] = [];
  // The second one is named: it is the one that somebody added.
  if (given.length > 1) {
    const message = `${given.join(' and ')} exclude one another`;
    const remedy = 'choose one: selector is enforced by the node (L4 only), targetRefs by the waypoint (L4 and L7)';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', ['spec', given[1] ?? 'targetRefs'], message, remedy));
  }
  if (spec.targetRef !== undefined) problems.push(...checkTarget(spec.targetRef, metadata.namespace, ['spec', 'targetRef']));
  for (const [at, target] of (spec.targetRefs ?? []).entries()) {
    problems.push(...checkTarget(target, metadata.namespace, ['spec', 'targetRefs', at]));
  }
  return problems;
}

/** Targets lie in the namespace of the policy: nobody may speak for services of another one. */
function checkTarget({ group = '', kind, namespace }: RawTargetRef, own: string | null | undefined, path: FieldPath): Problem[] {
  const problems: Problem[] = [];
  if (!(TARGET_KINDS[group] ?? []).includes(kind)) {
    // The kind is right and its group forgotten, or the kind itself is wrong: two different edits.
    const right = Object.entries(TARGET_KINDS).find(([, kinds]) => kinds.includes(kind))?.[0];
    const kinds = Object.values(TARGET_KINDS).flat();
    const message = `a policy cannot be attached to kind ${kind} of group "${group}"${right === undefined ? didYouMean(kind, kinds) : ''}`;
    const remedy = right === undefined ? 'target a Service, Gateway or GatewayClass' : `write group: "${right}"`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, right === undefined ? 'kind' : 'group'], message, remedy));
  }
  if (namespace && namespace !== (own || 'default')) {
    const message = `a policy can only target its own namespace, not "${namespace}"`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'namespace'], message, 'remove it, or move the policy'));
  }
  return problems;
}

/** DENY and CUSTOM without rules match nothing, which is the opposite of what ALLOW without rules does. */
function checkAction(spec: NonNullable<RawAuthorizationPolicy['spec']>): Problem[] {
  const action = spec.action ?? 'ALLOW';
  const path = ['spec', 'action'];
  const problems: Problem[] = [];
  if ((action === 'DENY' || action === 'CUSTOM') && (spec.rules ?? []).length === 0) {
    const message = `${action} without rules matches nothing`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, message, 'for deny-all write an ALLOW policy with an empty spec'));
  }
  // Without a provider there is nobody to ask.
  if (action === 'CUSTOM' && !spec.provider?.name) {
    const message = 'action CUSTOM needs the provider that decides';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', path, message, 'add spec.provider.name, or use ALLOW or DENY'));
  }
  if (action !== 'CUSTOM' && spec.provider !== undefined) {
    const message = `action ${action} has no use for a provider`;
    problems.push(errorAt('WEFT_FIELD_CONFLICT', ['spec', 'provider'], message, 'remove it, or write action: CUSTOM'));
  }
  return problems;
}

/** A value that is neither would be taken for "false", and a trial would be enforced. */
function checkDryRun({ metadata }: RawAuthorizationPolicy): Problem[] {
  const value = metadata.annotations?.[DRY_RUN_ANNOTATION];
  if (value === undefined || /^(1|t|true|0|f|false)$/i.test(value)) return [];
  const path = ['metadata', 'annotations', DRY_RUN_ANNOTATION];
  return [errorAt('WEFT_FIELD_INVALID', path, `"${value}" is neither true nor false`, 'write "true" or "false"')];
}

/** Every value in a rule must have the syntax of its field: one that never matches leaves a hole or shuts everybody out. */
function checkRule({ from = [], to = [], when = [] }: RawRule, path: FieldPath): Problem[] {
  return [
    ...from.flatMap(({ source }, at) => checkSource(source, [...path, 'from', at])),
    ...to.flatMap(({ operation }, at) => checkEntry('operation', operation, [...path, 'to', at])),
    ...when.flatMap((condition, at) => checkCondition(condition, [...path, 'when', at])),
  ];
}

/** Service accounts are completed with a namespace each, so the other ways to name an identity would contradict them. */
function checkSource(source: RawSource | undefined, path: FieldPath): Problem[] {
  const problems = checkEntry('source', source, path);
  const accounts = source?.serviceAccounts ?? source?.notServiceAccounts;
  // Istio refuses these too: an account is already a principal and a namespace.
  const others = (['principals', 'notPrincipals', 'namespaces', 'notNamespaces'] as const).filter(
    (name) => source?.[name] !== undefined,
  );
  if (accounts !== undefined && others.length > 0) {
    const message = `serviceAccounts cannot be combined with ${others.join(' and ')} in one source`;
    const remedy = 'make two from entries if either should match';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'source', others[0] ?? 'principals'], message, remedy));
  }
  return problems;
}

/** An empty list restricts nothing: someone who removed the last item meant the opposite. */
function checkEntry(name: 'source' | 'operation', entry: RawSource | RawOperation | undefined, path: FieldPath): Problem[] {
  const fields = Object.entries(entry ?? {});
  if (fields.length === 0) {
    const message = `an empty ${name} would match everything`;
    return [errorAt('WEFT_FIELD_INVALID', path, message, `give it a field, or remove the entry`)];
  }
  return fields.flatMap(([field, values]) => checkValues(field, values ?? [], [...path, name, field]));
}
