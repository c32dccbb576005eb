import { formatAddress, splitHostPort } from '#model/address/ip.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import type { HttpOutcome, RecordEnd, RecordOrigin, RecordOutcome, RecordPath, RecordSource } from './access-record.ts';

/** What a line in text tells of: a request, or (`http` null) a connection that carried none. */
export type LineFacts = {
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly source: RecordSource;
  readonly origin: RecordOrigin;
  readonly path: RecordPath;
  readonly outcome: RecordOutcome;
  /** Where it was taken, in Istio's words; null: to no service. */
  readonly cluster: string | null;
  /** By TLS; null: none was read. */
  readonly serverName: string | null;
  readonly http: LineRequest | null;
};

/** What it tells of a request beside. */
export type LineRequest = HttpOutcome & {
  /** Tries; 0: none was made. */
  readonly attempts: number;
  /** From its beginning to its last byte, and to the first one of its answer; null: that never came. */
  readonly requestMs: number | null;
  readonly responseMs: number | null;
  /** Why its last try got no connection; null: it did, or there was none. */
  readonly transportFailure: string | null;
  /** By its name in lower case, `:path` and the like included; null: there is none. */
  requestHeader(name: string): string | null;
  /** Of those that the format asks for. */
  responseHeader(name: string): string | null;
};

/** What an operator tells; null: there is nothing to tell. */
export type Operator = (facts: LineFacts) => string | number | null;

/** Envoy's operators that take no argument, as far as they mean something here. */
export const OPERATORS = {
  PROTOCOL: ({ http }) => http?.protocol ?? null,
  RESPONSE_CODE: ({ http }) => http?.responseCode ?? 0,
  RESPONSE_CODE_DETAILS: ({ http, outcome }) => (http === null ? null : detailsOf(http, outcome)),
  RESPONSE_FLAGS: ({ outcome }) => outcome.flag,
  CONNECTION_TERMINATION_DETAILS: ({ http, outcome }) =>
    http !== null || outcome.flag === 'UF' ? null : inOneWord(outcome.error),
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ http, outcome }) =>
    inOneWord(http !== null ? http.transportFailure : outcome.flag === 'UF' ? outcome.error : null),
  BYTES_RECEIVED: ({ outcome }) => outcome.requestBytes,
  BYTES_SENT: ({ outcome }) => outcome.responseBytes,
  DURATION: ({ outcome }) => outcome.durationMs,
  REQUEST_DURATION: ({ http }) => http?.requestMs ?? null,
  RESPONSE_DURATION: ({ http }) => http?.responseMs ?? null,
  RESPONSE_TX_DURATION: ({ http, outcome: { durationMs } }) => minus(durationMs, http?.responseMs ?? null),
  GRPC_STATUS: ({ http }) => (http?.grpcStatus == null ? null : (GRPC_STATUS[Number(http.grpcStatus)] ?? http.grpcStatus)),
  GRPC_STATUS_NUMBER: ({ http }) => http?.grpcStatus ?? null,
  ROUTE_NAME: ({ http }) => http?.route ?? null,
  REQUESTED_SERVER_NAME: ({ serverName }) => serverName,
  UPSTREAM_CLUSTER: ({ cluster }) => cluster,
  UPSTREAM_CLUSTER_RAW: ({ cluster }) => cluster,
  UPSTREAM_HOST: ({ path }) => addressOf(path.end),
  UPSTREAM_REMOTE_ADDRESS: ({ path }) => addressOf(path.end),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ path }) => ipOf(path.end),
  UPSTREAM_REMOTE_PORT: ({ path }) => path.end?.port ?? null,
  /** Connections are shared, and reach other nodes in tunnels: no address would say anything. */
  UPSTREAM_LOCAL_ADDRESS: () => null,
  UPSTREAM_PEER_URI_SAN: ({ path: { identity } }) => (identity === null ? null : formatIdentity(identity)),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ http }) => http?.attempts ?? 0,
  DOWNSTREAM_LOCAL_ADDRESS: ({ origin }) => origin.dialled,
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ origin }) => dialledBy(origin)?.host ?? null,
  DOWNSTREAM_LOCAL_PORT: ({ origin }) => dialledBy(origin)?.port ?? null,
  DOWNSTREAM_REMOTE_ADDRESS: ({ source }) => addressOf(source.end),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ source }) => ipOf(source.end),
  DOWNSTREAM_REMOTE_PORT: ({ source }) => source.end?.port ?? null,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ source }) => addressOf(source.end),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ({ source }) => ipOf(source.end),
  DOWNSTREAM_PEER_URI_SAN: ({ source: { identity } }) => (identity === null ? null : formatIdentity(identity)),
} as const satisfies Readonly<Record<string, Operator>>;

/** Fixed by gRPC, in Envoy's spelling, by their numbers. */
const GRPC_STATUS = [
  ...['OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied'],
  ...['ResourceExhausted', 'FailedPrecondition', 'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable'],
  ...['DataLoss', 'Unauthenticated'],
];

/** Operators that show a header, or, where there is none, another one: `REQ(X?Y)`. */
export const HEADER_OPERATORS = {
  REQ: ({ requestHeader }: LineRequest, name: string) => requestHeader(name),
  REQ_WITHOUT_QUERY: ({ requestHeader }: LineRequest, name: string) => requestHeader(name)?.split('?', 1)[0] ?? null,
  RESP: ({ responseHeader }: LineRequest, name: string) => responseHeader(name),
} as const;

/** Of what came from upstream Envoy says that and no more. */
function detailsOf({ responseCode }: LineRequest, { error }: RecordOutcome): string | null {
  return inOneWord(error) ?? (responseCode === 0 ? null : 'via_upstream');
}

/** Stands in a column of its own. */
function inOneWord(text: string | null): string | null {
  return text === null || text === '' ? null : text.replaceAll(' ', '_');
}

function minus(end: number | null, start: number | null): number | null {
  return end === null || start === null ? null : end - start;
}

function addressOf(end: RecordEnd | null): string | null {
  return end === null ? null : formatAddress(end.ip, end.port);
}

function ipOf(end: RecordEnd | null): string | null {
  return end?.ip ?? null;
}

function dialledBy({ dialled }: RecordOrigin): ReturnType<typeof splitHostPort> {
  return dialled === null ? null : splitHostPort(dialled);
}
