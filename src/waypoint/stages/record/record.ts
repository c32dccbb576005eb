import type { SharedFields } from '#model/effects/log.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { HTTP } from '#model/settings/http.ts';
import { askedFields, pathFields, type RecordPath, requestRecordOf } from '#model/telemetry/access-record.ts';
import type { CompiledRules } from '#model/telemetry/compiled-rules.ts';
import { ruledLabels } from '#model/telemetry/metric-rules.ts';
import type { RequestFacts, RequestSeries } from '#model/telemetry/peer-series.ts';
import { takenPath } from '#waypoint/connection/report.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { httpOf, outcomeOf, serviceOf } from '#waypoint/exchange/report.ts';
import { requestShown } from '#waypoint/exchange/shown.ts';
import type { Stage, StageParts } from '#waypoint/exchange/stage.ts';
import type { Counters } from '#waypoint/self/counters.ts';

/** What the last request of one client to one endpoint was counted and told by, and all that it depends on. */
type Last = RequestFacts & {
  readonly principal: string | null;
  readonly workload: Workload;
  readonly service: RecordPath['service'];
  readonly metrics: CompiledRules['metrics'];
  readonly series: RequestSeries;
  readonly taken: SharedFields;
};

/** How one request is counted and told. */
type Told = Pick<Last, 'series' | 'taken'>;

/** Stands for clients that are no workload. */
const STRANGER = {};

/** Counts every request and writes one line for it, whatever became of it, but for those that a Telemetry wants none of. */
export function recordStage(parts: StageParts): Stage {
  const { effects, counters } = parts;
  const isText = effects.accessText !== null;
  const toldOf = howTold(parts);
  const counted = parts.perExchange.add<RequestSeries>();
  return {
    name: 'record',
    end(exchange) {
      const durationMs = effects.clock.monotonicMs() - exchange.startedMs;
      const { series, taken } = toldOf(exchange, durationMs);
      series.total?.add();
      series.duration?.observe(durationMs);
      series.requestMessages?.add(exchange.requestMessages?.count ?? 0);
      series.responseMessages?.add(exchange.responseMessages?.count ?? 0);
      counted.set(exchange, series);
      count(exchange, counters);
      // Another stage writes it then.
      if (isText) return;
      // Counted before: a Telemetry that wants no lines says nothing of metrics.
      if (exchange.telemetry.logged?.(requestShown(exchange, durationMs)) === false) return;
      const { record } = exchange.connection;
      const http = httpOf(exchange);
      const asked = askedFields(record.origin, http, record.lastAsked);
      // What is long is not kept for as long as the connection lasts.
      record.lastAsked = asked.chars > HTTP.keptHeadBytesMax ? null : asked;
      effects.log.info(requestRecordOf(record.sourceFields, taken, asked, outcomeOf(exchange, durationMs), http), 'request');
    },
    sent(exchange) {
      const series = counted.peek(exchange);
      if (series === null) return;
      const { receivedBytes, sentBytes } = exchange.wire;
      const upgraded = exchange.status === 101 && exchange.request.version === 'http1';
      series.requestBytes?.observe(receivedBytes + (upgraded ? exchange.bytesReceived : 0));
      series.responseBytes?.observe(sentBytes + (upgraded ? exchange.bytesSent : 0));
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
function howTold({ telemetry, state, upstreams }: StageParts): (exchange: Exchange, durationMs: number) => Told {
  const lasts = state.perEndpoint.keep({ make: () => new WeakMap<object, Last>() });
  return (exchange, durationMs) => {
    const { connection, flag, status: responseCode } = exchange;
    const { principal, record, destination } = connection;
    const { source, origin } = record;
    const service = serviceOf(exchange, upstreams);
    const grpcStatus = exchange.isGrpc ? (exchange.grpcStatus ?? '') : null;
    const endpoint = exchange.attempt?.endpoint ?? null;
    const lastOf = endpoint === null ? null : lasts.of(endpoint);
    const client = source.workload ?? STRANGER;
    const { metrics, metricsVary } = exchange.telemetry;
    // Requests of which something itself is counted have nothing in common with the one before.
    const last = metricsVary ? undefined : lastOf?.get(client);
    const isSame =
      last !== undefined &&
      last.responseCode === responseCode &&
      last.flag === flag &&
      last.grpcStatus === grpcStatus &&
      last.workload === endpoint?.workload &&
      last.service === service &&
      last.metrics === metrics &&
      last.principal === principal;
    if (isSame) return last;
    const facts = { flag, responseCode, grpcStatus };
    const path = takenPath(service, destination, endpoint);
    const ruled = metrics === null ? null : ruledLabels(metrics, requestShown(exchange, durationMs));
    const told = { series: telemetry.peers.request(source, origin, path, facts, ruled), taken: pathFields(path) };
    if (!metricsVary && endpoint !== null)
      lastOf?.set(client, { ...facts, principal, workload: endpoint.workload, service, metrics, ...told });
    return told;
  };
}
