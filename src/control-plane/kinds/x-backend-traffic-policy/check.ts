import { checkSession } from '#control-plane/mesh/request-routes/check-session.ts';
import { checkRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import { type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { isBackendTarget, type RawBackendPolicy } from './schema.ts';

const CONSTRAINT = ['spec', 'retryConstraint'];
const BUDGET = {
  interval: [...CONSTRAINT, 'budget', 'interval'],
  leastInterval: [...CONSTRAINT, 'minRetryRate', 'interval'],
  // Fixed by the Gateway API: only nothing at all is too little.
  leastMs: 1,
};

/** What the schema cannot say of an XBackendTrafficPolicy. */
export function checkBackendPolicy({ spec }: RawBackendPolicy): Problem[] {
  const { targetRefs, retryConstraint: { budget, minRetryRate } = {}, sessionPersistence } = spec;
  const problems = [
    ...targetRefs.flatMap(({ kind, group }, at): Problem[] => {
      if (isBackendTarget(kind, group)) return [];
      const message = `waypoints have no backends of kind ${kind} in group "${group}", so nothing is in force of the policy for it`;
      return [warningAt('WEFT_NOT_ENFORCED', ['spec', 'targetRefs', at], message, 'name a Service or a ServiceEntry')];
    }),
    ...checkRetryBudget({ ...budget, ...(minRetryRate && { minRetryRate }) }, BUDGET),
    ...checkSession(spec, ['spec']),
  ];
  if (spec.retryConstraint === undefined && sessionPersistence === undefined) {
    const remedy = 'add retryConstraint or sessionPersistence';
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec'], 'the policy says nothing', remedy));
  }
  return problems;
}
