import type { ResponseFlag } from '#model/telemetry/close-cause.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { headerIdOf } from '#protocol/http/header-names.ts';
import type { ResponseHead, UpstreamProblem } from '#protocol/http/message.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';

/** An answer of the waypoint itself; `details` names the cause in logs. */
export type LocalReply = {
  readonly status: number;
  /** Text, or bytes whose type the headers say. */
  readonly body: string | Uint8Array;
  readonly flag: ResponseFlag;
  readonly details: string;
  /** Of the answer to gRPC, where it is not the one that usually goes with the status. */
  readonly grpcStatus?: number;
  /** More headers, as name, value, …; not for gRPC. */
  readonly headers?: readonly string[];
};

/** The table of docs/rules/waypoint.md. */
export const REPLY = {
  noRoute: reply(404, '', 'NR', 'route_not_found'),
  noBinding: reply(503, 'this service is no longer served by this waypoint', 'NR', 'service_not_bound'),
  // UNAVAILABLE: where a call would go is not there (config-api 1.13).
  invalidBackend: { ...reply(500, '', 'NC', 'cluster_not_found'), grpcStatus: 14 },
  // The same of a VirtualService, whose author expects Envoy's own answer (config-api 4.4).
  noCluster: reply(503, '', 'NC', 'cluster_not_found'),
  noBackend: { ...reply(500, '', '-', 'no_backend_with_weight'), grpcStatus: 14 },
  upgradeRefused: reply(501, 'no other protocol than websocket is carried', '-', 'upgrade_failed'),
  /** A mistake of ours: what threw has decided nothing, so the request must not pass. */
  mistake: reply(500, '', '-', 'stage_failed'),
  timeout: reply(504, 'upstream request timeout', 'UT', 'response_timeout'),
  /** Of a call of gRPC, by the time that it brought: not UNAVAILABLE, for which clients would call again. */
  deadline: { ...reply(504, 'deadline exceeded', 'UT', 'response_timeout'), grpcStatus: 4 },
  tryTimeout: reply(504, 'upstream request timeout', 'UT', 'upstream_per_try_timeout'),
} as const;

/** 503: nothing can take the request of what it is for, which the client need not be the one to have named: a route has backends. */
export function noHealthyUpstream({ target, connection: { destination } }: Pick<Exchange, 'target' | 'connection'>): LocalReply {
  const ofWorkload = destination.kind === 'workload' ? `${destination.workload.namespace}/${destination.workload.name}` : '';
  const name = target?.kind === 'service' ? target.service.slice(target.service.indexOf('/') + 1) : ofWorkload;
  return reply(503, name === '' ? NO_UPSTREAM : `${NO_UPSTREAM}: ${name}`, 'UH', 'no_healthy_upstream');
}

const NO_UPSTREAM = 'no healthy upstream';

/** 403; `rule` is `<policy>#<index>`, or null when no ALLOW policy matched. */
export function deniedReply(rule: string | null): LocalReply {
  return reply(403, 'RBAC: access denied', '-', `rbac_access_denied_matched_policy[${rule ?? 'none'}]`);
}

/** An answer of the waypoint itself. */
export function reply(status: number, body: string, flag: ResponseFlag, details: string): LocalReply {
  return { status, body, flag, details };
}

const UPSTREAM_FAILED = 'upstream connect error or disconnect/reset before headers. reset reason: ';

/** The words clients know from Envoy; the cause itself goes to the log only (W77). */
const FAILURES: Readonly<
  Record<Exclude<UpstreamProblem['kind'], 'too-slow' | 'overflow'>, { status: number; reason: string; flag: ResponseFlag }>
> = {
  'connect-failure': { status: 503, reason: 'remote connection failure', flag: 'UF' },
  'connect-timeout': { status: 503, reason: 'connection timeout', flag: 'UF' },
  closed: { status: 503, reason: 'connection termination', flag: 'UC' },
  'remote-reset': { status: 503, reason: 'remote reset', flag: 'UR' },
  'local-reset': { status: 503, reason: 'local reset', flag: 'LR' },
  'protocol-error': { status: 502, reason: 'protocol error', flag: 'UPE' },
  'head-too-large': { status: 503, reason: 'response headers too large', flag: 'UPE' },
};

/** More is under way than a circuit breaker allows (W54). */
export const OVERFLOW: LocalReply = {
  ...reply(503, `${UPSTREAM_FAILED}overflow`, 'UO', 'upstream_reset_before_response_started{overflow}'),
  headers: ['x-envoy-overloaded', 'true'],
};

/** The answer to a request whose upstream failed before it responded (docs/rules/waypoint.md). */
export function replyFor(problem: UpstreamProblem): LocalReply {
  if (problem.kind === 'too-slow') return REPLY.tryTimeout;
  if (problem.kind === 'overflow') return OVERFLOW;
  const { status, reason, flag } = FAILURES[problem.kind];
  const details = `upstream_reset_before_response_started{${reason}|${problem.details}}`.replaceAll(' ', '_');
  return reply(status, UPSTREAM_FAILED + reason, flag, details);
}

/** The head of a local reply, and its body if it has one. gRPC gets status 200 and the cause as grpc-status (9.6). */
export function renderReply(
  exchange: Exchange,
  { status, body, grpcStatus, headers: more = [] }: LocalReply,
): { head: ResponseHead; body: Buffer | null } {
  if (exchange.isGrpc) {
    const pairs = ['content-type', 'application/grpc', 'grpc-status', String(grpcStatus ?? grpcStatusOf(status))];
    if (body.length > 0) pairs.push('grpc-message', percentEncode(body));
    return { head: { status: 200, headers: new StringHeaders(pairs, headerIdOf), contentLength: null }, body: null };
  }
  const bytes = Buffer.from(body);
  const isTyped = bytes.length === 0 || more.some((name, at) => at % 2 === 0 && name === 'content-type');
  const headers = new StringHeaders(isTyped ? more : ['content-type', 'text/plain', ...more], headerIdOf);
  return { head: { status, headers, contentLength: bytes.length }, body: bytes.length === 0 ? null : bytes };
}

/** docs/rules/waypoint.md. */
export function grpcStatusOf(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
      return 12;
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;
    default:
      return 2;
  }
}

/** grpc-message keeps printable ASCII and escapes the rest, and `%`. */
function percentEncode(text: string | Uint8Array): string {
  return Array.from(Buffer.from(text), (code) =>
    code >= 0x20 && code <= 0x7e && code !== 0x25
      ? String.fromCharCode(code)
      : `%${code.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}
