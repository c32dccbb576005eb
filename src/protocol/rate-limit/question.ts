import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { HeaderEdit } from '#model/authorizer/verdict.ts';
import { type Descriptor, type LimitAnswer, RATE_LIMIT_DOMAIN } from '#model/traffic/global-limit.ts';
import {
  RateLimitResponse_Code as Code,
  type RateLimitResponse_HeaderValue as HeaderValue,
  RateLimitRequestSchema,
  type RateLimitResponse,
  RateLimitResponseSchema,
  RateLimitUnit,
} from '#proto/rate_limit_pb.js';

/** The method of Envoy's service. */
export const SHOULD_RATE_LIMIT_PATH = '/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit';

const UNITS = new Map([
  [1_000, RateLimitUnit.SECOND],
  [60_000, RateLimitUnit.MINUTE],
  [3_600_000, RateLimitUnit.HOUR],
  [86_400_000, RateLimitUnit.DAY],
]);

/** A RateLimitRequest; `hits`: for how many it counts. */
export function encodeQuestion(descriptors: readonly Descriptor[], hits = 1): Uint8Array {
  const request = create(RateLimitRequestSchema, {
    domain: RATE_LIMIT_DOMAIN,
    // 0 counts as 1, and is not sent.
    hitsAddend: hits === 1 ? 0 : hits,
    descriptors: descriptors.map(({ entries, requests, windowMs }) => ({
      entries: entries.map(([key, value]) => ({ key, value })),
      limit: { requestsPerUnit: requests, unit: UNITS.get(windowMs) ?? RateLimitUnit.UNKNOWN },
    })),
  });
  return toBinary(RateLimitRequestSchema, request);
}

/** What a RateLimitResponse says; what is none has decided nothing. */
export function decodeAnswer(message: Uint8Array): LimitAnswer {
  const response = parsed(message);
  if (response === null) return { kind: 'error', why: 'its answer is no RateLimitResponse' };
  const { overallCode, statuses, responseHeadersToAdd, requestHeadersToAdd, rawBody } = response;
  if (overallCode !== Code.OK && overallCode !== Code.OVER_LIMIT)
    return { kind: 'error', why: `its answer is neither OK nor OVER_LIMIT but ${overallCode}` };
  return {
    kind: 'answered',
    over: overallCode === Code.OVER_LIMIT,
    statuses: statuses.map(({ code, currentLimit, limitRemaining, durationUntilReset }) => ({
      over: code === Code.OVER_LIMIT,
      limited: currentLimit !== undefined,
      remaining: limitRemaining,
      resetMs: durationUntilReset === undefined ? 0 : Math.max(0, durationMs(durationUntilReset)),
    })),
    toClient: editsOf(responseHeadersToAdd),
    toUpstream: editsOf(requestHeadersToAdd),
    body: rawBody,
  };
}

function parsed(message: Uint8Array): RateLimitResponse | null {
  try {
    return fromBinary(RateLimitResponseSchema, message);
  } catch {
    return null; // whatever it is, it admits nothing
  }
}

/** They stand beside what is there, as in Envoy; what says of which type a body is can only be said once. */
function editsOf(headers: readonly HeaderValue[]): HeaderEdit[] {
  return headers.flatMap(({ key, value, rawValue }): HeaderEdit[] => {
    const name = key.toLowerCase();
    if (name === '') return [];
    const text = rawValue.length > 0 ? Buffer.from(rawValue).toString('latin1') : value;
    return [{ name, value: text, how: name === 'content-type' ? 'set' : 'add' }];
  });
}
