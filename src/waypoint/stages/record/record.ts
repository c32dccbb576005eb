import { formatAddress } from '#model/address/ip.ts';
import { describeDestination } from '#waypoint/connection/destination.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { Stage, StageParts } from '#waypoint/exchange/stage.ts';
import type { Counters } from '#waypoint/self/counters.ts';

/** Counts every request and writes one line for it, whatever became of it. */
export function recordStage({ effects, counters }: StageParts): Stage {
  return {
    name: 'record',
    end(exchange) {
      count(exchange, counters);
      effects.log.info(accessFields(exchange, effects.clock.nowMs()), 'request');
    },
  };
}

function count(exchange: Exchange, counters: Counters): void {
  counters.openRequests--;
  const statusClass = Math.floor(exchange.status / 100);
  counters.responsesByClass[statusClass] = (counters.responsesByClass[statusClass] ?? 0) + 1;
  counters.bytesReceived += exchange.bytesReceived;
  counters.bytesSent += exchange.bytesSent;
  if (exchange.verdict?.kind === 'deny') counters.requestsDenied++;
  if (exchange.flag === 'DC' || exchange.flag === 'DR') counters.downstreamGone++;
}

/** The fields of an access-log line; durations in milliseconds, bytes of bodies only. */
function accessFields(exchange: Exchange, nowMs: number): object {
  const { connection, request, verdict } = exchange;
  const endpoint = exchange.attempt?.endpoint ?? null;
  return {
    method: exchange.method,
    path: exchange.path,
    authority: request.authority,
    protocol: request.version === 'http1' ? 'HTTP/1.1' : 'HTTP/2',
    status: exchange.status,
    flag: exchange.flag,
    details: exchange.details,
    grpcStatus: exchange.grpcStatus,
    route: exchange.route?.name ?? null,
    destination: describeDestination(connection.destination),
    upstream: endpoint === null ? null : formatAddress(endpoint.ip, endpoint.port),
    upstreamWorkload: endpoint?.workload.uid ?? null,
    source: connection.principal,
    sourceAddress: formatAddress(connection.client.address, connection.client.port),
    policy: verdict?.by == null ? null : `${verdict.by.policy}#${verdict.by.index}`,
    durationMs: nowMs - exchange.startedMs,
    bytesReceived: exchange.bytesReceived,
    bytesSent: exchange.bytesSent,
    requestId: exchange.requestId,
  };
}
