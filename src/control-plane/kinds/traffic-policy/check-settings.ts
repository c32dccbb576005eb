import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { checkRetryBudget } from '#control-plane/mesh/request-routes/retry-budget.ts';
import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { RawTrafficPolicy } from './schema.ts';

type Spec = RawTrafficPolicy['spec'];

const BUDGET = {
  interval: ['spec', 'retryBudget', 'interval'],
  leastInterval: ['spec', 'retryBudget', 'minRetryRate', 'interval'],
};

/** What the schema cannot say of how a service is treated. */
export function checkSettings(spec: Spec): Problem[] {
  return [...checkDetection(spec.outlierDetection), ...checkRetryBudget(spec.retryBudget, BUDGET)];
}

/** Times that would let an endpoint back before it was out. */
function checkDetection(detection: Spec['outlierDetection']): Problem[] {
  const path = ['spec', 'outlierDetection'];
  const problems = (['interval', 'baseEjectionTime', 'maxEjectionTime'] as const).flatMap((field) =>
    atLeast1Ms(detection?.[field], [...path, field]),
  );
  const { baseEjectionTime: base = '30s', maxEjectionTime: most } = detection ?? {};
  if (most !== undefined && readDurationMs(most) < readDurationMs(base)) {
    const message = `an endpoint is out for ${base} at first, which is longer than maxEjectionTime ${most}`;
    const remedy = 'write a maxEjectionTime of at least baseEjectionTime';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'maxEjectionTime'], message, remedy));
  }
  return problems;
}

/** The pattern of the schema lets none pass, too. */
function atLeast1Ms(text: string | undefined, path: FieldPath): Problem[] {
  if (text === undefined || readDurationMs(text) >= 1) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `${text} is not 1ms or more`, 'choose a longer time')];
}
