import { goDurationMs } from '#control-plane/resources/go-duration.ts';
import { readRetryOn, USUAL_RETRY_ON } from '#model/resilience/retry-on.ts';
import { grpcStatusNamed } from '#model/traffic/grpc-status.ts';
import type { HttpCors, HttpRedirect, HttpRetry } from '#model/waypoint/filters.ts';
import type { Fault } from '#model/waypoint/traffic.ts';
import type { HttpDirectResponse } from '#model/waypoint/virtual.ts';
import { readChanges, readStringMatch } from './read-values.ts';
import type { SettledParts } from './resource.ts';
import type {
  RawCorsPolicy,
  RawDirectResponse,
  RawFault,
  RawPercentage,
  RawRetries,
  RawVirtualRedirect,
  RawVirtualRule,
} from './schema.ts';

/** What of a rule needs no other resource. `title`: of whose fault is spoken. */
export function readSettledParts(rule: RawVirtualRule, title: string): SettledParts {
  const { redirect, directResponse, corsPolicy, retries, fault, timeout, headers } = rule;
  const backendTimeoutMs = durationOf(retries?.perTryTimeout);
  return {
    requestHeaders: readChanges(headers?.request),
    responseHeaders: readChanges(headers?.response),
    requestTimeoutMs: durationOf(timeout),
    ...(redirect && { redirect: readRedirect(redirect) }),
    ...(directResponse && { directResponse: readDirectResponse(directResponse) }),
    ...(corsPolicy && { cors: readCors(corsPolicy) }),
    ...(backendTimeoutMs !== null && { backendTimeoutMs }),
    ...(retries && { retry: readRetries(retries) }),
    ...(fault && { traffic: { rateLimit: null, fault: readFault(fault, title) } }),
  };
}

/** Null: not written, so there is no bound. */
function durationOf(text: string | undefined): number | null {
  return text === undefined ? null : goDurationMs(text) || null;
}

/** An authority may name a port, which nothing else then says. */
function readRedirect({ uri, authority = '', scheme, port, derivePort, redirectCode }: RawVirtualRedirect): HttpRedirect {
  const [, hostname = '', ownPort] = /^(.*?)(?::(\d+))?$/.exec(authority) ?? [];
  const named = port || (ownPort === undefined ? null : Number(ownPort));
  const sources = { FROM_REQUEST_PORT: 'request', FROM_PROTOCOL_DEFAULT: 'scheme' } as const;
  return {
    scheme: scheme === 'http' || scheme === 'https' ? scheme : null,
    hostname: hostname || null,
    port: named,
    portFrom: derivePort === undefined ? 'authority' : sources[derivePort],
    path: uri === undefined || uri === '' ? null : { kind: 'full', value: uri },
    status: (redirectCode || 301) as HttpRedirect['status'], // the check has made sure of it
  };
}

/** The check has made sure that bytes are text. */
function readDirectResponse({ status, body = {} }: RawDirectResponse): HttpDirectResponse {
  return { status, body: body.string ?? Buffer.from(body.bytes ?? '', 'base64').toString('utf8') };
}

/** The deprecated list of exact origins counts beside the new one. */
function readCors(raw: RawCorsPolicy): HttpCors {
  const { allowOrigin = [], allowOrigins = [], allowMethods, allowHeaders, exposeHeaders, maxAge } = raw;
  const matches = [...allowOrigins.map(readStringMatch), ...allowOrigin.map((value) => ({ type: 'exact', value }) as const)];
  const everyone = matches.some(({ type, value }) => type === 'exact' && value === '*');
  const maxAgeMs = durationOf(maxAge);
  return {
    allowOrigins: everyone ? ['*'] : [],
    // An empty match names no origin.
    originMatches: matches.filter(({ type }) => type !== 'present'),
    ...(raw.unmatchedPreflights !== 'IGNORE' && { leavesOthers: true as const }),
    allowCredentials: raw.allowCredentials ?? false,
    allowMethods: allowMethods ?? [],
    allowHeaders: allowHeaders ?? [],
    exposeHeaders: exposeHeaders ?? [],
    maxAgeSeconds: maxAgeMs === null ? null : Math.round(maxAgeMs / 1000),
  };
}

/** Without a number of attempts there are none: that is what the API's default comes to. */
function readRetries({ attempts = 0, retryOn, backoff }: RawRetries): HttpRetry {
  const { codes, grpcStatuses, unanswered } = readRetryOn(retryOn || USUAL_RETRY_ON);
  return { codes, attempts, backoffMs: null, virtual: { intervalMs: durationOf(backoff), grpcStatuses, unanswered } };
}

/** A percentage that is not written is 0. */
function readFault({ delay, abort }: RawFault, policy: string): Fault {
  const share = (percentage: RawPercentage | undefined, percent = 0): number => percentage?.value ?? percent;
  return {
    policy,
    match: null,
    delay:
      delay === undefined
        ? null
        : { durationMs: durationOf(delay.fixedDelay) ?? 0, percentage: share(delay.percentage, delay.percent) },
    abort:
      abort === undefined
        ? null
        : {
            status: abort.httpStatus ?? null,
            grpcStatus: abort.grpcStatus === undefined ? null : grpcStatusNamed(abort.grpcStatus),
            percentage: share(abort.percentage),
          },
  };
}
