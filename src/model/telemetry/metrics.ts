import { DNS_LABELS, type LabelName, REQUEST_LABELS, TCP_LABELS } from './labels.ts';

/** A process that has a metrics page. */
export type MetricsProcess = 'agent' | 'waypoint' | 'control';

/** One metric, as every page that has it shows it. */
export type MetricDefinition = {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit: 'count' | 'bytes' | 'milliseconds' | 'seconds' | 'timestamp' | 'number';
  readonly help: string;
  readonly labels: readonly LabelName[];
  readonly of: readonly MetricsProcess[];
  /** Upper bounds of the buckets of a histogram, in its unit. */
  readonly buckets?: readonly number[];
  /** Istio's name is not in a base unit: on /metrics it is `name`, its values divided by `by`. */
  readonly inBaseUnit?: { readonly name: string; readonly by: number };
};

const BOTH: readonly MetricsProcess[] = ['agent', 'waypoint'];
const AGENT: readonly MetricsProcess[] = ['agent'];
const CONTROL: readonly MetricsProcess[] = ['control'];
/** Those that ask an API server. */
const CLUSTER: readonly MetricsProcess[] = [...AGENT, ...CONTROL];
const ALL: readonly MetricsProcess[] = [...BOTH, ...CONTROL];
const WAYPOINT: readonly MetricsProcess[] = ['waypoint'];

/** Envoy's own, which Istio's dashboards expect: milliseconds and bytes alike. */
const ENVOY_BUCKETS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

function counter<const Labels extends readonly LabelName[]>(of: readonly MetricsProcess[], help: string, labels: Labels) {
  return { type: 'counter', unit: 'count', help, labels, of } as const;
}

function gauge<const Labels extends readonly LabelName[]>(of: readonly MetricsProcess[], help: string, labels: Labels) {
  return { type: 'gauge', unit: 'count', help, labels, of } as const;
}

function sizes(help: string) {
  return { type: 'histogram', unit: 'bytes', help, labels: REQUEST_LABELS, of: WAYPOINT, buckets: ENVOY_BUCKETS } as const;
}

/** Every metric there is: the code that counts, the metrics pages and docs/metrics.md come from this table. */
export const METRICS = {
  istio_tcp_connections_opened_total: counter(
    BOTH,
    'Connections that came to be carried, by the kernel alone or by a process.',
    TCP_LABELS,
  ),
  istio_tcp_connections_closed_total: counter(
    BOTH,
    'Connections that have ended after they were carried, by the kernel alone or by a process.',
    TCP_LABELS,
  ),
  istio_tcp_connections_failed_total: counter(BOTH, 'Connections that were refused or could not be carried.', TCP_LABELS),
  istio_tcp_received_bytes_total: {
    ...counter(BOTH, 'Bytes from clients to servers, of connections that have ended.', TCP_LABELS),
    unit: 'bytes',
  },
  istio_tcp_sent_bytes_total: {
    ...counter(BOTH, 'Bytes from servers to clients, of connections that have ended.', TCP_LABELS),
    unit: 'bytes',
  },
  istio_requests_total: counter(WAYPOINT, 'Requests that have ended, however they did.', REQUEST_LABELS),
  istio_request_duration_milliseconds: {
    type: 'histogram',
    unit: 'milliseconds',
    help: 'From the first byte of a request to the end of its response.',
    labels: REQUEST_LABELS,
    of: WAYPOINT,
    buckets: ENVOY_BUCKETS,
    inBaseUnit: { name: 'istio_request_duration_seconds', by: 1_000 },
  },
  istio_request_bytes: sizes('Bytes of requests between client and waypoint: heads, bodies and their framing.'),
  istio_response_bytes: sizes('Bytes of their responses, in the same way.'),
  istio_request_messages_total: counter(WAYPOINT, 'Messages of clients in gRPC calls that have ended.', REQUEST_LABELS),
  istio_response_messages_total: counter(WAYPOINT, 'Messages of servers in gRPC calls that have ended.', REQUEST_LABELS),
  istio_dns_requests_total: counter(AGENT, 'DNS queries of workloads.', DNS_LABELS),
  istio_dns_upstream_requests_total: counter(AGENT, 'DNS queries that were forwarded.', DNS_LABELS),
  istio_dns_upstream_failures_total: counter(AGENT, 'Forwarded DNS queries that got no reply.', DNS_LABELS),
  istio_dns_upstream_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'From forwarding a DNS query to its reply.',
    labels: DNS_LABELS,
    of: AGENT,
    buckets: [0.0005, 0.001, 0.01, 0.1, 1, 5],
  },
  istio_xds_connection_terminations_total: counter(BOTH, 'Discovery streams that ended, or could not be opened.', ['reason']),
  istio_build: { ...gauge(ALL, 'Always 1; the labels tell what runs.', ['component', 'tag']), unit: 'number' },
  weft_enrolled_workloads: gauge(AGENT, 'Workloads of this node that are enrolled: known to the control plane, or not yet.', [
    'enrollment',
  ]),
  weft_lookups: gauge(
    AGENT,
    'Names that the control plane was asked for on demand, by what it said; none where all is followed.',
    ['lookup'],
  ),
  weft_refusals_total: counter(
    BOTH,
    'Connections that were refused or cut, by cause; the log has the first lines of each workload and cause, and how many more there were.',
    ['reporter', 'cause'],
  ),
  weft_unproved_closed_total: counter(ALL, 'Connections closed, or not let in, that had shown neither certificate nor token.', [
    'door',
    'closed_for',
  ]),
  weft_control_refusals_total: counter(
    CONTROL,
    'What the control plane refused to nodes and other callers; a registration that stands refused counts once.',
    ['refusal'],
  ),
  weft_api_server_requests_total: counter(CLUSTER, 'What was asked of the API server of the cluster; a watch is one.', [
    'resource',
  ]),
  weft_api_server_received_bytes_total: {
    ...counter(CLUSTER, 'Bytes of the answers of the API server, by what they are of; watches as they go on.', ['resource']),
    unit: 'bytes',
  },
  weft_dry_run_decisions_total: counter(BOTH, 'Decisions of policies in dry run that were not enforced.', [
    'policy',
    'decision',
    'layer',
  ]),
  weft_external_authorizations_total: counter(WAYPOINT, 'Answers of external authorizers to requests that waited for them.', [
    'provider',
    'answer',
  ]),
  weft_dns_failures_total: counter(AGENT, 'DNS queries and connections that did not get what they asked for.', [
    'why',
    'request_protocol',
  ]),
  weft_kernel_connections_total: counter(AGENT, 'What the eBPF programs did with connections and DNS queries.', ['path']),
  weft_kernel_events_lost_total: counter(AGENT, 'Refusals that the kernel could not report: the ring was full.', []),
  weft_link_dropped_total: counter(
    AGENT,
    'Frames of a workload that ended on its link, by cause: lies about addresses, and packets in clear.',
    ['source_workload', 'source_workload_namespace', 'cause'],
  ),
  weft_kernel_retransmits_total: counter(
    AGENT,
    'Segments that were sent again, of connections that the kernel carried and that have ended.',
    [],
  ),
  weft_kernel_map_full_total: counter(AGENT, 'Entries that found no place in an eBPF map.', []),
  weft_direct_connections: gauge(AGENT, 'Open connections that the kernel carries from app to app.', []),
  weft_carried_connections: gauge(AGENT, 'Open connections to workloads of this node that the agent carries.', []),
  weft_tunnel_connections: gauge(AGENT, 'Open HTTP/2 connections to other nodes that tunnels share.', []),
  weft_verdicts: gauge(AGENT, 'Verdicts that the kernel remembers.', []),
  weft_verdict_generation: {
    ...gauge(AGENT, 'Generation of the verdicts; each change of policy raises it.', []),
    unit: 'number',
  },
  weft_mesh_complete: {
    ...gauge(AGENT, 'Whether the kernel has the whole mesh: 1, or 0 and unknown destinations go through the agent.', []),
    unit: 'number',
  },
  weft_certificates: gauge(BOTH, 'Certificates held.', ['state']),
  weft_certificate_expiry_timestamp_seconds: {
    ...gauge(BOTH, 'When the first of the certificates held expires; 0 without any.', []),
    unit: 'timestamp',
  },
  weft_control_plane_connected: { ...gauge(BOTH, 'Whether the discovery stream is open: 1 or 0.', []), unit: 'number' },
  weft_control_plane_synced_timestamp_seconds: {
    ...gauge(BOTH, 'When the last change of the mesh was applied; 0 before the first.', []),
    unit: 'timestamp',
  },
  weft_downstream_connections_total: counter(WAYPOINT, 'Connections of clients, by the protocol they spoke.', ['protocol']),
  weft_downstream_connections: gauge(WAYPOINT, 'Open connections of clients.', []),
  weft_requests_active: gauge(WAYPOINT, 'Requests under way.', []),
  weft_requests_denied_total: counter(WAYPOINT, 'Requests that authorization policies denied.', []),
  weft_local_replies_total: counter(WAYPOINT, 'Requests that the waypoint answered itself.', []),
  weft_request_bytes_total: {
    ...counter(WAYPOINT, 'Bytes from clients: bodies of requests, and connections that are not HTTP.', []),
    unit: 'bytes',
  },
  weft_response_bytes_total: {
    ...counter(WAYPOINT, 'Bytes to clients: bodies of responses, and connections that are not HTTP.', []),
    unit: 'bytes',
  },
  weft_upstream_connections_total: counter(WAYPOINT, 'Connections opened to endpoints.', []),
  weft_upstream_connect_failures_total: counter(WAYPOINT, 'Connections to endpoints that could not be opened.', []),
  weft_upstream_reuses_total: counter(WAYPOINT, 'Requests that found an open connection.', []),
  weft_upstream_retries_total: counter(WAYPOINT, 'Requests that were sent a second time.', []),
  weft_mirrored_requests_total: counter(
    WAYPOINT,
    'Copies of requests for other services: with an answer, without one, or given up.',
    ['outcome'],
  ),
  weft_spans_total: counter(WAYPOINT, 'Spans of traced requests: taken by the collector, refused by it, or left out.', ['fate']),
  weft_rate_limited_total: counter(WAYPOINT, 'Requests of which a rule of a rate limit had too many.', [
    'policy',
    'rule',
    'mode',
  ]),
  weft_rate_limit_answers_total: counter(WAYPOINT, 'Answers of rate limit services to requests that waited for them.', [
    'policy',
    'answer',
  ]),
  weft_circuit_overflow_total: counter(
    WAYPOINT,
    'Requests, retries and connections that a circuit breaker or a retry budget refused.',
    ['destination_service', 'limit'],
  ),
  weft_outlier_ejections_total: counter(WAYPOINT, 'Endpoints that failed and were left out, or could not be: too many were.', [
    'destination_service',
    'detector',
    'outcome',
  ]),
  weft_jwks_fetches_total: counter(WAYPOINT, 'Fetches of the keys that prove tokens.', ['outcome']),
  weft_upstream_endpoints: gauge(WAYPOINT, 'Endpoints that this waypoint has sent something to.', []),
  weft_upstream_pools: gauge(WAYPOINT, 'Pools of connections to endpoints, one for each identity served.', []),
  weft_mishaps_total: counter(
    ALL,
    'Mistakes of the program itself, by the place that caught them; each cost one connection, query or message.',
    ['entry'],
  ),
  weft_log_lines_left_out_total: counter(
    ALL,
    'Lines of the log that found no place: its reader was too slow, or its disk full.',
    [],
  ),
  weft_log_disk_full: gauge(ALL, 'Whether lines of the log wait for room on its disk: 1, else 0.', []),
  weft_metrics_overflow_total: counter(ALL, 'Label sets that found no place within the bounds and were counted as "overflow".', [
    'metric',
  ]),
  process_cpu_seconds_total: { ...counter(ALL, 'CPU time of this process.', []), unit: 'seconds' },
  process_resident_memory_bytes: { ...gauge(ALL, 'Memory of this process.', []), unit: 'bytes' },
  process_open_fds: gauge(ALL, 'Open descriptors of this process.', []),
  process_start_time_seconds: { ...gauge(ALL, 'When this process started.', []), unit: 'timestamp' },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

/** The name of a metric. */
export type MetricName = keyof typeof METRICS;

type NamesOf<Type extends MetricDefinition['type']> = {
  [Name in MetricName]: (typeof METRICS)[Name]['type'] extends Type ? Name : never;
}[MetricName];

/** What can be counted up. */
export type CounterName = NamesOf<'counter'>;

/** What can be observed. */
export type HistogramName = NamesOf<'histogram'>;

/** What is read when somebody looks. */
export type ReadableName = NamesOf<'counter' | 'gauge'>;

/** Values of the labels of a metric; what is left out says "unknown". */
export type LabelValues<Name extends MetricName> = { readonly [Label in (typeof METRICS)[Name]['labels'][number]]?: string };
