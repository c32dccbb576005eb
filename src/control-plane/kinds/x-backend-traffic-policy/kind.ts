import { defineKind } from '#control-plane/index/kind-definition.ts';
import { readSession } from '#control-plane/mesh/request-routes/read-session.ts';
import { readRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import type { OwnStatus } from '#control-plane/resources/cluster-kind.ts';
import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { fieldOf } from '#control-plane/resources/stand-in.ts';
import { checkBackendPolicy } from './check.ts';
import { attachedBackendPolicies, BACKEND_POLICIES, backendPolicyNeeds, backendPolicyStatus } from './derive.ts';
import { type BackendPolicyResource, type BackendTarget, isBackendTarget, type RawBackendPolicy } from './schema.ts';

/** What becomes of each field of an XBackendTrafficPolicy. */
const FIELDS: FieldTable = {
  ...eachField('spec.targetRefs[].', 'group kind name'),
  ...eachField('spec.retryConstraint.', 'budget.percent budget.interval minRetryRate.count minRetryRate.interval'),
  ...eachField('spec.sessionPersistence.', 'sessionName absoluteTimeout type cookieConfig.lifetimeType'),
};

/** An entry for each target that is ours, however little else of the policy is right. */
const POLICY_STATUS: OwnStatus = {
  form: 'ancestors',
  types: [],
  refused(spec) {
    const refs = fieldOf(spec, 'targetRefs');
    const list: unknown[] = Array.isArray(refs) ? refs : [];
    const parents = list.flatMap((ref, at) => (isBackendTarget(fieldOf(ref, 'kind'), fieldOf(ref, 'group')) ? [at] : []));
    return [{ type: 'Accepted', reason: 'Invalid', parents }];
  },
};

/** How an XBackendTrafficPolicy of the Gateway API is read: waypoints treat what they send to its backends by it. */
export const backendPolicyKind = defineKind<RawBackendPolicy, BackendPolicyResource>({
  kind: 'XBackendTrafficPolicy',
  group: 'gateway.networking.x-k8s.io',
  versions: ['v1alpha1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.x-k8s.io_xbackendtrafficpolicies.yaml' },
  unknownFields: 'error',
  cluster: { status: POLICY_STATUS },
  fields: FIELDS,
  check: checkBackendPolicy,
  read: readBackendPolicy,
  resources: BACKEND_POLICIES,
  derivations: [backendPolicyNeeds, attachedBackendPolicies, backendPolicyStatus],
});

/** Targets of others are theirs to speak of. */
function readBackendPolicy({ spec }: RawBackendPolicy, metadata: Metadata): BackendPolicyResource {
  const { targetRefs, retryConstraint, sessionPersistence } = spec;
  return {
    kind: 'XBackendTrafficPolicy',
    metadata,
    targets: targetRefs.flatMap(({ kind, group, name }, at): BackendTarget[] =>
      isBackendTarget(kind, group) ? [{ kind, name, at }] : [],
    ),
    settings: {
      ...(retryConstraint && {
        retryBudget: readRetryBudget({
          ...retryConstraint.budget,
          ...(retryConstraint.minRetryRate && { minRetryRate: retryConstraint.minRetryRate }),
        }),
      }),
      ...(sessionPersistence && { session: readSession(sessionPersistence) }),
    },
  };
}
