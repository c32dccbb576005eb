import { checkMatch } from '#control-plane/mesh/request-routes/check-matches.ts';
import { readDurationMs } from '#control-plane/mesh/request-routes/documents.ts';
import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { checkRateLimit } from './check-limit.ts';
import { checkSettings } from './check-settings.ts';
import { checkTargets } from './check-targets.ts';
import type { RawFault, RawTrafficPolicy } from './schema.ts';

/** What the schema cannot say of a TrafficPolicy. */
export function checkTrafficPolicy({ spec }: RawTrafficPolicy): Problem[] {
  const { rateLimit, faultInjection } = spec;
  const problems = checkTargets(spec);
  if (rateLimit !== undefined) problems.push(...checkRateLimit(rateLimit, ['spec', 'rateLimit']));
  if (faultInjection !== undefined) problems.push(...checkFault(faultInjection, ['spec', 'faultInjection']));
  problems.push(...checkSettings(spec));
  const blocks = [rateLimit, faultInjection, spec.circuitBreaker, spec.outlierDetection, spec.retryBudget];
  if (blocks.every((block) => block === undefined) && problems.length === 0) {
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', ['spec'], 'the policy says nothing', 'add rateLimit or faultInjection'));
  }
  return problems;
}

// Fixed by the API (config-api 6.3).
const HOUR_MS = 3_600_000;

function checkFault({ match, delay, abort }: RawFault, path: FieldPath): Problem[] {
  const problems = match === undefined ? [] : checkMatch(match, [...path, 'match']);
  if (delay !== undefined) {
    const delayMs = readDurationMs(delay.duration);
    if (delayMs < 1 || delayMs > HOUR_MS) {
      const message = `a delay of ${delay.duration} is not from 1ms to 1h`;
      problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'delay', 'duration'], message, 'choose one between'));
    }
  }
  if (abort !== undefined && (abort.httpStatus === undefined) === (abort.grpcStatus === undefined)) {
    const message = 'an abort has either httpStatus or grpcStatus';
    problems.push(errorAt('WEFT_FIELD_CONFLICT', [...path, 'abort'], message, 'write one of the two'));
  }
  if (delay === undefined && abort === undefined) {
    problems.push(warningAt('WEFT_LIKELY_MISTAKE', path, 'nothing is injected', 'add delay or abort'));
  }
  return problems;
}
