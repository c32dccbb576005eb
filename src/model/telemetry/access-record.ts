import { formatAddress, type IpAddress } from '#model/address/ip.ts';
import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { Service } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { AccessField } from '#model/telemetry/log-fields.ts';
import type { CloseCause, ResponseFlag } from './close-cause.ts';

/** An address and port on the wire. */
export type RecordEnd = { readonly ip: IpAddress; readonly port: number };

/** Who opened a connection. `identity`: proven by a handshake or by the kernel, else null. */
export type RecordSource = {
  /** Null when the kernel refused before there was a socket address. */
  readonly end: RecordEnd | null;
  readonly workload: Workload | null;
  readonly identity: Identity | null;
};

/** Who tells about it (the agent of the client, the agent of the server, a waypoint), and what the client dialled. */
export type RecordOrigin = { readonly reporter: 'source' | 'destination' | 'waypoint'; readonly dialled: string | null };

/** Where it was taken, as far as that was decided. */
export type RecordPath = {
  /** Address on the wire: …:15008 for a tunnel. */
  readonly end: RecordEnd | null;
  /** Target of the CONNECT that carries it. */
  readonly authority: string | null;
  readonly service: Pick<Service, 'name' | 'namespace' | 'hostname'> | null;
  readonly workload: Workload | null;
  /** Proven by the handshake, or known of a workload of this node. */
  readonly identity: Identity | null;
};

/** A path of which nothing was decided. */
export const NO_PATH: RecordPath = { end: null, authority: null, service: null, workload: null, identity: null };

/** What an HTTP request adds. */
export type HttpOutcome = {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly protocol: string;
  /** 0: no response was sent. */
  readonly responseCode: number;
  readonly grpcStatus: string | null;
  readonly route: string | null;
  readonly requestId: string;
};

/** How it ended. */
export type RecordOutcome = {
  readonly flag: ResponseFlag;
  /** Why it was refused or cut; null when it was not. */
  readonly cause: CloseCause | null;
  /** What went wrong, as a sentence or as Envoy's response code details; null or '': nothing. */
  readonly error: string | null;
  /** Bytes from client to server, and from server to client; bodies only for HTTP. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Null: it was over as soon as it began. */
  readonly durationMs: number | null;
  /** The policy and rule that decided. */
  readonly policy: string | null;
  readonly rule: number | null;
  readonly http: HttpOutcome | null;
};

/** The outcome of what never was carried; its cause is to be added. */
export const REFUSED_OUTCOME: RecordOutcome = {
  flag: 'CONNECT',
  cause: 'other',
  error: null,
  requestBytes: 0,
  responseBytes: 0,
  durationMs: null,
  policy: null,
  rule: null,
  http: null,
};

/** One access-log line; what is not known is not in it. */
export type AccessRecord = { readonly [Field in AccessField]?: string | number };

/** The access-log line of a connection or request: the only place that makes one. */
export function recordOf(source: RecordSource, origin: RecordOrigin, path: RecordPath, outcome: RecordOutcome): AccessRecord {
  const record: { [Field in AccessField]?: string | number } = {};
  const put = (field: AccessField, value: string | number | null | undefined): void => {
    if (value !== null && value !== undefined && value !== '') record[field] = value;
  };
  put('src.addr', addressOf(source.end));
  put('src.workload', source.workload?.name);
  put('src.namespace', source.workload?.namespace);
  put('src.identity', identityText(source.identity));
  put('dst.addr', addressOf(path.end));
  put('dst.hbone_addr', path.authority);
  put('dst.service', path.service?.hostname);
  put('dst.workload', path.workload?.name);
  put('dst.namespace', path.workload?.namespace);
  put('dst.identity', identityText(path.identity));
  put('downstream_local_address', origin.dialled);
  putOutcome(put, origin, outcome);
  return record;
}

function putOutcome(
  put: (field: AccessField, value: string | number | null | undefined) => void,
  { reporter }: RecordOrigin,
  outcome: RecordOutcome,
): void {
  const { http, requestBytes, responseBytes } = outcome;
  if (reporter !== 'waypoint') put('direction', reporter === 'source' ? 'outbound' : 'inbound');
  if (http !== null) {
    put('method', http.method);
    put('path', http.path);
    put('protocol', http.protocol);
    put('authority', http.authority);
    put('request_id', http.requestId);
    put('route_name', http.route);
    put('response_code', http.responseCode);
    put('grpc_status', http.grpcStatus);
  }
  // "sent" is what the reporter sent: to the server when it speaks for the client, else to the client.
  put('bytes_sent', reporter === 'source' ? requestBytes : responseBytes);
  put('bytes_recv', reporter === 'source' ? responseBytes : requestBytes);
  put('duration', outcome.durationMs === null ? null : `${outcome.durationMs}ms`);
  put('response_flags', outcome.flag);
  put('cause', outcome.cause);
  put('policy', outcome.policy);
  put('rule', outcome.rule);
  put(http === null ? 'error' : 'response_code_details', outcome.error);
}

function addressOf(end: RecordEnd | null): string | null {
  return end === null ? null : formatAddress(end.ip, end.port);
}

function identityText(identity: Identity | null): string | null {
  return identity === null ? null : formatIdentity(identity);
}
