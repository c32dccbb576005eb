import { defineKind } from '#control-plane/index/kind-definition.ts';
import { BACKEND_STATUS, type BackendTarget, checkBackendTargets, isBackendTarget } from '#control-plane/mesh/backend-targets.ts';
import { checkSession } from '#control-plane/mesh/request-routes/check-session.ts';
import { readSession } from '#control-plane/mesh/request-routes/read-session.ts';
import { checkRetryBudget, readRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import { eachField, type FieldTable } from '#control-plane/resources/field-table.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import type { Metadata } from '#control-plane/resources/metadata.ts';
import { attachedBackendPolicies, BACKEND_POLICIES, backendPolicyNeeds, backendPolicyStatus } from './derive.ts';
import type { BackendPolicyResource, RawBackendPolicy } from './schema.ts';

/** What becomes of each field of an XBackendTrafficPolicy. */
const FIELDS: FieldTable = {
  ...eachField('spec.targetRefs[].', 'group kind name'),
  ...eachField('spec.retryConstraint.', 'budget.percent budget.interval minRetryRate.count minRetryRate.interval'),
  ...eachField('spec.sessionPersistence.', 'sessionName absoluteTimeout type cookieConfig.lifetimeType'),
};

/** How an XBackendTrafficPolicy of the Gateway API is read: waypoints treat what they send to its backends by it. */
export const backendPolicyKind = defineKind<RawBackendPolicy, BackendPolicyResource>({
  kind: 'XBackendTrafficPolicy',
  group: 'gateway.networking.x-k8s.io',
  versions: ['v1alpha1'],
  namespaced: true,
  schema: { kind: 'crd', file: 'gateway.networking.x-k8s.io_xbackendtrafficpolicies.yaml' },
  unknownFields: 'error',
  cluster: { status: BACKEND_STATUS },
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

const CONSTRAINT = ['spec', 'retryConstraint'];
const BUDGET = {
  interval: [...CONSTRAINT, 'budget', 'interval'],
  leastInterval: [...CONSTRAINT, 'minRetryRate', 'interval'],
  // Fixed by the Gateway API: only nothing at all is too little.
  leastMs: 1,
};

/** What the schema cannot say of an XBackendTrafficPolicy. */
function checkBackendPolicy({ spec }: RawBackendPolicy): Problem[] {
  const { targetRefs, retryConstraint: { budget, minRetryRate } = {}, sessionPersistence } = spec;
  const problems = [
    ...checkBackendTargets(targetRefs),
    ...checkRetryBudget({ ...budget, ...(minRetryRate && { minRetryRate }) }, BUDGET),
    ...checkSession(spec, ['spec']),
  ];
  if (spec.retryConstraint === undefined && sessionPersistence === undefined) {
    const remedy = 'add retryConstraint or sessionPersistence';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec'], 'the policy says nothing', remedy));
  }
  return problems;
}
