import type { HttpOutcome, RecordOutcome, RecordPath } from '#model/telemetry/access-record.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** Where the request went: a route may have led it to another service than the client dialled. */
export function serviceOf({ connection, target }: Exchange, upstreams: Pick<Upstreams, 'known'>): RecordPath['service'] {
  const { destination, record } = connection;
  if (target?.kind !== 'service' || (destination.kind === 'service' && destination.key === target.service)) return record.service;
  return upstreams.known(target.service);
}

/** How it ended, with the bytes of bodies only. */
export function outcomeOf(exchange: Exchange, durationMs: number): RecordOutcome {
  const by = exchange.verdict?.by;
  return {
    flag: exchange.flag,
    cause: null,
    error: exchange.details,
    requestBytes: exchange.bytesReceived,
    responseBytes: exchange.bytesSent,
    durationMs,
    policy: by?.policy ?? null,
    rule: by?.index ?? null,
  };
}

/** What it asked for, and how it was answered. */
export function httpOf(exchange: Exchange): HttpOutcome {
  const { request } = exchange;
  return {
    method: exchange.method,
    path: exchange.path,
    authority: request.authority,
    protocol: request.version === 'http1' ? 'HTTP/1.1' : 'HTTP/2',
    responseCode: exchange.status,
    grpcStatus: exchange.grpcStatus,
    route: exchange.route?.name ?? null,
    requestId: exchange.requestId,
  };
}
