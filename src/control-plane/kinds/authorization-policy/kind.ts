import { defineKind } from '#control-plane/index/kind-definition.ts';
import type { PolicyTarget } from '#control-plane/mesh/policy-targets.ts';
import { NODE_POLICY_TYPES, refusedFor } from '#control-plane/resources/cluster-kind.ts';
import { readWorkloadSelector } from '#control-plane/resources/label-selector.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import { checkAuthorizationPolicy } from './check.ts';
import { AUTHORIZATION_POLICIES, attachedPolicies, attachedPolicyStatus, nodePolicies, policyNeeds } from './derive.ts';
import { AUTHORIZATION_POLICY_FIELDS } from './fields.ts';
import {
  type AuthorizationPolicyResource,
  DRY_RUN_ANNOTATION,
  OPERATION_FIELDS,
  type PolicyRule,
  type RawAuthorizationPolicy,
  type RawRule,
  type RawTargetRef,
  SOURCE_FIELDS,
} from './schema.ts';
import { standInForPolicy } from './stand-in.ts';

/** Condition of a policy with targets. */
const AT_WAYPOINTS = 'WaypointAccepted';

/** How an AuthorizationPolicy is read. */
export const authorizationPolicyKind = defineKind({
  kind: 'AuthorizationPolicy',
  group: 'security.istio.io',
  versions: ['v1', 'v1beta1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'security.istio.io_authorizationpolicies.yaml' },
  unknownFields: 'error',
  fields: AUTHORIZATION_POLICY_FIELDS,
  check: checkAuthorizationPolicy,
  read: readAuthorizationPolicy,
  standIn: standInForPolicy,
  cluster: { status: { form: 'conditions', types: [...NODE_POLICY_TYPES, AT_WAYPOINTS], refused: refusedTypes } },
  resources: AUTHORIZATION_POLICIES,
  derivations: [policyNeeds, nodePolicies, attachedPolicies, attachedPolicyStatus],
});

/** Who would have enforced it says that nobody does. */
function refusedTypes(spec: unknown): { type: string; reason: string }[] {
  const [refs, ref] = [fieldOf(spec, 'targetRefs'), fieldOf(spec, 'targetRef')];
  const hasTargets = (Array.isArray(refs) && refs.length > 0) || ref !== undefined;
  return refusedFor('Invalid', hasTargets ? [AT_WAYPOINTS] : NODE_POLICY_TYPES);
}

/** The single targetRef of older versions counts like one entry of targetRefs. */
function readAuthorizationPolicy({ spec = {} }: RawAuthorizationPolicy, metadata: Metadata): AuthorizationPolicyResource {
  const refs = [...(spec.targetRef === undefined ? [] : [spec.targetRef]), ...(spec.targetRefs ?? [])];
  return {
    kind: 'AuthorizationPolicy',
    metadata,
    action: spec.action ?? 'ALLOW',
    provider: spec.provider?.name ?? '',
    selector: readWorkloadSelector(spec.selector),
    targets: refs.map(readTarget),
    rules: (spec.rules ?? []).map(readRule),
    dryRun: /^(1|t|true)$/i.test(metadata.annotations[DRY_RUN_ANNOTATION] ?? ''),
  };
}

/** The rules have made sure that the kind is one of the four. */
function readTarget({ kind, name }: RawTargetRef): PolicyTarget {
  return { kind: kind as PolicyTarget['kind'], name };
}

/** Every field is there afterwards, so that nothing behind this asks whether it was left out. */
function readRule({ from = [], to = [], when = [] }: RawRule): PolicyRule {
  return {
    from: from.map(({ source }) => allFields(SOURCE_FIELDS, source)),
    to: to.map(({ operation }) => allFields(OPERATION_FIELDS, operation)),
    when: when.map(({ key, values, notValues }) => ({ key, values: values ?? [], notValues: notValues ?? [] })),
  };
}

/** The fields in `names`, each with its list or an empty one. */
function allFields<Field extends string>(
  names: readonly Field[],
  raw: Partial<Record<Field, string[]>> = {},
): Readonly<Record<Field, readonly string[]>> {
  return Object.fromEntries(names.map((name) => [name, raw[name] ?? []])) as unknown as Record<Field, readonly string[]>;
}
