import type { Meters } from '#model/telemetry/meters.ts';
import type { PeerSeries } from '#model/telemetry/peer-series.ts';

/** Totals since the start, and gauges named `open…`; read by whoever exports metrics. */
export class Counters {
  connections = 0;
  connectionsRefused = 0;
  openConnections = 0;
  http1Connections = 0;
  http2Connections = 0;
  tcpConnections = 0;
  tcpConnectionsDenied = 0;
  requests = 0;
  openRequests = 0;
  /** By the first digit of the status; [0]: no response was sent. */
  readonly responsesByClass: number[] = [0, 0, 0, 0, 0, 0];
  requestsDenied = 0;
  localReplies = 0;
  protocolErrors = 0;
  downstreamGone = 0;
  upstreamConnections = 0;
  upstreamConnectFailures = 0;
  upstreamReuses = 0;
  upstreamRetries = 0;
  bytesReceived = 0;
  bytesSent = 0;
}

/** Where a waypoint counts. */
export type Telemetry = { readonly meters: Meters; readonly peers: PeerSeries };

/** What of the state of a waypoint is shown on its page. */
export type ShownState = { readonly endpoints: number; readonly pools: number };

/** Shows a waypoint's totals on its metrics page; read only when somebody looks. */
export function readWaypointMetrics(meters: Meters, counters: Counters, state: () => ShownState): void {
  meters.read('weft_downstream_connections_total', () => [
    { labels: { protocol: 'http1' }, value: counters.http1Connections },
    { labels: { protocol: 'http2' }, value: counters.http2Connections },
    { labels: { protocol: 'tcp' }, value: counters.tcpConnections },
  ]);
  meters.readValue('weft_downstream_connections', () => counters.openConnections);
  meters.readValue('weft_requests_active', () => counters.openRequests);
  meters.readValue('weft_requests_denied_total', () => counters.requestsDenied);
  meters.readValue('weft_local_replies_total', () => counters.localReplies);
  meters.readValue('weft_request_bytes_total', () => counters.bytesReceived);
  meters.readValue('weft_response_bytes_total', () => counters.bytesSent);
  meters.readValue('weft_upstream_connections_total', () => counters.upstreamConnections);
  meters.readValue('weft_upstream_connect_failures_total', () => counters.upstreamConnectFailures);
  meters.readValue('weft_upstream_reuses_total', () => counters.upstreamReuses);
  meters.readValue('weft_upstream_retries_total', () => counters.upstreamRetries);
  meters.readValue('weft_upstream_endpoints', () => state().endpoints);
  meters.readValue('weft_upstream_pools', () => state().pools);
}
