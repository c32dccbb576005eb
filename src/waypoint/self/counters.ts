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
  mirrorsAnswered = 0;
  mirrorsFailed = 0;
  mirrorsDropped = 0;
  bytesReceived = 0;
  bytesSent = 0;

  /** Adds what another one counted. */
  add(other: CounterValues): void {
    for (const name of NUMBER_NAMES) this[name] += other[name];
    for (const [at, count] of other.responsesByClass.entries())
      this.responsesByClass[at] = (this.responsesByClass[at] ?? 0) + count;
  }
}

/** What of counters passes from one thread to another. */
export type CounterValues = Omit<Counters, 'add'>;
type NumberName = Exclude<keyof CounterValues, 'responsesByClass'>;
const NUMBER_NAMES = Object.entries(new Counters()).flatMap(([name, value]) =>
  typeof value === 'number' ? [name as NumberName] : [],
);

/** Where a waypoint counts. */
export type Telemetry = { readonly meters: Meters; readonly peers: PeerSeries };

/** What a waypoint, or one of several that serve beside each other, has counted, and what it keeps now. */
export type WaypointCounts = { readonly counters: CounterValues; readonly endpoints: number; readonly pools: number };

/** Before anything was counted. */
export const NO_COUNTS: WaypointCounts = { counters: new Counters(), endpoints: 0, pools: 0 };

/** What those that serve beside each other have counted together. Endpoints are the same for all: the most that one keeps. */
export function sumOf(parts: readonly WaypointCounts[]): WaypointCounts {
  const counters = new Counters();
  for (const { counters: part } of parts) counters.add(part);
  return {
    counters,
    endpoints: Math.max(0, ...parts.map(({ endpoints }) => endpoints)),
    pools: parts.reduce((sum, { pools }) => sum + pools, 0),
  };
}

/** Shows a waypoint's totals on its metrics page; read only when somebody looks. */
export function readWaypointMetrics(meters: Meters, counts: () => WaypointCounts): void {
  const read = (name: Parameters<Meters['readValue']>[0], of: NumberName): void =>
    meters.readValue(name, () => counts().counters[of]);
  meters.read('weft_downstream_connections_total', () => {
    const { http1Connections, http2Connections, tcpConnections } = counts().counters;
    return [
      { labels: { protocol: 'http1' }, value: http1Connections },
      { labels: { protocol: 'http2' }, value: http2Connections },
      { labels: { protocol: 'tcp' }, value: tcpConnections },
    ];
  });
  read('weft_downstream_connections', 'openConnections');
  read('weft_requests_active', 'openRequests');
  read('weft_requests_denied_total', 'requestsDenied');
  read('weft_local_replies_total', 'localReplies');
  read('weft_request_bytes_total', 'bytesReceived');
  read('weft_response_bytes_total', 'bytesSent');
  read('weft_upstream_connections_total', 'upstreamConnections');
  read('weft_upstream_connect_failures_total', 'upstreamConnectFailures');
  read('weft_upstream_reuses_total', 'upstreamReuses');
  read('weft_upstream_retries_total', 'upstreamRetries');
  meters.read('weft_mirrored_requests_total', () => {
    const { mirrorsAnswered, mirrorsFailed, mirrorsDropped } = counts().counters;
    return [
      { labels: { outcome: 'answered' }, value: mirrorsAnswered },
      { labels: { outcome: 'failed' }, value: mirrorsFailed },
      { labels: { outcome: 'dropped' }, value: mirrorsDropped },
    ];
  });
  meters.readValue('weft_upstream_endpoints', () => counts().endpoints);
  meters.readValue('weft_upstream_pools', () => counts().pools);
}
