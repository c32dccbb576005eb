import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { errorAt, type FieldPath, type Problem } from '#control-plane/resources/finding.ts';
import type { RawTrafficPolicy } from './schema.ts';

type Spec = RawTrafficPolicy['spec'];

// Fixed by the API (config-api 6.3).
const BUDGET_LEAST_MS = 1_000;
const BUDGET_MOST_MS = 3_600_000;

/** What the schema cannot say of how a service is treated. */
export function checkSettings(spec: Spec): Problem[] {
  return [...checkDetection(spec.outlierDetection), ...checkBudget(spec.retryBudget)];
}

/** Times that would let an endpoint back before it was out. */
function checkDetection(detection: Spec['outlierDetection']): Problem[] {
  const path = ['spec', 'outlierDetection'];
  const problems = (['interval', 'baseEjectionTime', 'maxEjectionTime'] as const).flatMap((field) =>
    between(detection?.[field], 1, Number.POSITIVE_INFINITY, [...path, field], '1ms or more'),
  );
  const { baseEjectionTime: base = '30s', maxEjectionTime: most } = detection ?? {};
  if (most !== undefined && readDurationMs(most) < readDurationMs(base)) {
    const message = `an endpoint is out for ${base} at first, which is longer than maxEjectionTime ${most}`;
    const remedy = 'write a maxEjectionTime of at least baseEjectionTime';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'maxEjectionTime'], message, remedy));
  }
  return problems;
}

/** Shorter intervals would forget requests faster than clients come back with them. */
function checkBudget(budget: Spec['retryBudget']): Problem[] {
  const path = ['spec', 'retryBudget'];
  return [
    ...between(budget?.interval, BUDGET_LEAST_MS, BUDGET_MOST_MS, [...path, 'interval'], 'from 1s to 1h'),
    ...between(
      budget?.minRetryRate?.interval,
      BUDGET_LEAST_MS,
      BUDGET_MOST_MS,
      [...path, 'minRetryRate', 'interval'],
      'from 1s to 1h',
    ),
  ];
}

/** The pattern of the schema lets any number of hours pass, and none. */
function between(text: string | undefined, leastMs: number, mostMs: number, path: FieldPath, words: string): Problem[] {
  const milliseconds = text === undefined ? leastMs : readDurationMs(text);
  if (milliseconds >= leastMs && milliseconds <= mostMs) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `${text} is not ${words}`, 'choose one between')];
}
