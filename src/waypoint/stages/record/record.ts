import type { ServiceKey } from '#model/mesh/service.ts';
import { type RecordOutcome, type RecordPath, recordOf } from '#model/telemetry/access-record.ts';
import type { RequestFacts, RequestSeries } from '#model/telemetry/peer-series.ts';
import { decidedBy, takenPath } from '#waypoint/connection/report.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import type { Stage, StageParts } from '#waypoint/exchange/stage.ts';
import type { Counters } from '#waypoint/self/counters.ts';

/** The series of the last request of one client to one endpoint, and all that it depends on. */
type Last = RequestFacts & {
  readonly principal: string | null;
  readonly workload: RecordPath['workload'];
  readonly service: RecordPath['service'];
  readonly series: RequestSeries;
};

/** Stands for clients that are no workload. */
const STRANGER = {};

/** Counts every request and writes one line for it, whatever became of it. */
export function recordStage(parts: StageParts): Stage {
  const { effects, counters } = parts;
  const seriesOf = requestSeries(parts);
  return {
    name: 'record',
    end(exchange) {
      const durationMs = effects.clock.monotonicMs() - exchange.startedMs;
      const path = pathOf(exchange, parts);
      const series = seriesOf(exchange, path);
      series.total.add();
      series.duration.observe(durationMs);
      count(exchange, counters);
      const { source, origin } = exchange.connection.record;
      effects.log.info(recordOf(source, origin, path, outcomeOf(exchange, durationMs)), 'request');
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

/**
 * Most requests of a client to an endpoint end alike: those look nothing up. Kept by endpoint, since balancing sends the
 * requests of one connection to many; what it depends on is compared by identity, as its records are replaced whole.
 */
function requestSeries({ telemetry, state }: StageParts): (exchange: Exchange, path: RecordPath) => RequestSeries {
  const lasts = state.perEndpoint.keep({ make: () => new WeakMap<object, Last>() });
  return (exchange, path) => {
    const { connection, flag, status: responseCode } = exchange;
    const { principal, record } = connection;
    const { source, origin } = record;
    const grpcStatus = exchange.isGrpc ? (exchange.grpcStatus ?? '') : null;
    const endpoint = exchange.attempt?.endpoint ?? null;
    const lastOf = endpoint === null ? null : lasts.of(endpoint);
    const client = source.workload ?? STRANGER;
    const last = lastOf?.get(client);
    const isSame =
      last !== undefined &&
      last.responseCode === responseCode &&
      last.flag === flag &&
      last.grpcStatus === grpcStatus &&
      last.workload === path.workload &&
      last.service === path.service &&
      last.principal === principal;
    if (isSame) return last.series;
    const facts = { flag, responseCode, grpcStatus };
    const series = telemetry.peers.request(source, origin, path, facts);
    lastOf?.set(client, { ...facts, principal, workload: path.workload, service: path.service, series });
    return series;
  };
}

function targetOf({ target }: Exchange): ServiceKey | null {
  return target?.kind === 'service' ? target.service : null;
}

/** Where the request went: a route may have led it to another service than the client dialled. */
function pathOf(exchange: Exchange, { upstreams }: StageParts): RecordPath {
  const { destination, record } = exchange.connection;
  const target = targetOf(exchange);
  const isOther = target !== null && (destination.kind !== 'service' || destination.key !== target);
  return takenPath(isOther ? upstreams.known(target) : record.service, destination, exchange.attempt?.endpoint ?? null);
}

/** Bytes of bodies only. */
function outcomeOf(exchange: Exchange, durationMs: number): RecordOutcome {
  const { request } = exchange;
  return {
    flag: exchange.flag,
    cause: null,
    error: exchange.details,
    requestBytes: exchange.bytesReceived,
    responseBytes: exchange.bytesSent,
    durationMs,
    ...decidedBy(exchange.verdict?.by),
    http: {
      method: exchange.method,
      path: exchange.path,
      authority: request.authority,
      protocol: request.version === 'http1' ? 'HTTP/1.1' : 'HTTP/2',
      responseCode: exchange.status,
      grpcStatus: exchange.grpcStatus,
      route: exchange.route?.name ?? null,
      requestId: exchange.requestId,
    },
  };
}
