import { errorAt, type FieldPath, type Problem, warningAt } from '#control-plane/resources/finding.ts';
import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { grpcStatusNamed } from '#model/traffic/grpc-status.ts';
import type { RawFault } from './schema.ts';

/** The rules of injected faults. */
export function checkFault({ delay, abort }: RawFault, path: FieldPath): Problem[] {
  return [
    ...(delay === undefined ? [] : checkDelay(delay, [...path, 'delay'])),
    ...(abort === undefined ? [] : checkAbort(abort, [...path, 'abort'])),
  ];
}

/** 0 to 100. */
export function checkPercent(value: number | undefined, path: FieldPath): Problem[] {
  if (value === undefined || (value >= 0 && value <= 100)) return [];
  return [errorAt('WEFT_FIELD_INVALID', path, `${value} is no percentage`, 'write 0 to 100')];
}

/** Istio never built exponential delays, and hides the field. */
function checkDelay(delay: NonNullable<RawFault['delay']>, path: FieldPath): Problem[] {
  const { fixedDelay, exponentialDelay, percentage, percent } = delay;
  const problems = [
    ...checkPercent(percentage?.value, [...path, 'percentage', 'value']),
    ...checkPercent(percent, [...path, 'percent']),
    ...checkShare(percentage?.value ?? percent, path),
  ];
  const delayMs = fixedDelay === undefined ? null : goDurationMs(fixedDelay);
  if (exponentialDelay !== undefined)
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'exponentialDelay'], 'only fixed delays are injected', 'write fixedDelay'),
    );
  else if (delayMs === null || delayMs < 1) {
    const message = `"${fixedDelay ?? ''}" is no delay of at least 1ms`;
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'fixedDelay'], message, 'write a duration such as 5s'));
  }
  return problems;
}

/** Likewise errors of HTTP/2. */
function checkAbort(
  { httpStatus, grpcStatus, http2Error, percentage }: NonNullable<RawFault['abort']>,
  path: FieldPath,
): Problem[] {
  const problems = [...checkPercent(percentage?.value, [...path, 'percentage', 'value']), ...checkShare(percentage?.value, path)];
  if (http2Error !== undefined)
    problems.push(errorAt('WEFT_FIELD_INVALID', [...path, 'http2Error'], 'no errors of HTTP/2 are injected', 'write httpStatus'));
  else if (httpStatus === undefined && grpcStatus === undefined)
    problems.push(errorAt('WEFT_FIELD_INVALID', path, 'it says not which status is injected', 'write httpStatus or grpcStatus'));
  if (httpStatus !== undefined && (httpStatus < 200 || httpStatus > 599))
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'httpStatus'], `${httpStatus} is no status of an answer`, 'write 200 to 599'),
    );
  if (grpcStatus !== undefined && grpcStatusNamed(grpcStatus) === null) {
    const message = `"${grpcStatus}" is no status of gRPC`;
    problems.push(
      errorAt('WEFT_FIELD_INVALID', [...path, 'grpcStatus'], message, 'write a name such as UNAVAILABLE, or 0 to 16'),
    );
  }
  return problems;
}

/** What is not written is 0: hardly ever meant. */
function checkShare(percent: number | undefined, path: FieldPath): Problem[] {
  if (percent !== undefined) return [];
  const message = 'without percentage it is done to no request';
  return [warningAt('WEFT_LIKELY_MISTAKE', [...path, 'percentage'], message, 'write percentage: { value: … }')];
}
