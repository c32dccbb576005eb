import { ENTRIES } from '#model/effects/mishaps.ts';
import { COUNTERS } from '#model/kernel/abi.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { CONTROL_REFUSALS } from '#model/trust/refusal.ts';
import { CLOSE_CAUSES, DOOR_CAUSES, RESPONSE_FLAGS } from './close-cause.ts';

/** What bounds a label: the list of its values, or how many it may have. */
export type LabelBound = readonly string[] | number;

type LabelMeaning = { readonly help: string; readonly bound: LabelBound };

/** Stands for the values of an open label beyond its bound, and of a closed one that are not in its list. */
export const OVERFLOW = 'overflow';

/** What a label says of which nothing is known. */
export const UNKNOWN = 'unknown';

const MANY = TELEMETRY.workloadValuesMax;
const FEW = TELEMETRY.fewValuesMax;

/** Every label of our metrics; names and values are Istio's where it has them. */
export const LABELS = {
  reporter: {
    help: 'who tells it: the agent of the client, that of the server, or a waypoint',
    bound: ['source', 'destination', 'waypoint'],
  },
  source_workload: { help: 'owner of the client, such as its Deployment', bound: MANY },
  source_canonical_service: { help: 'canonical service of the client', bound: MANY },
  source_canonical_revision: { help: 'its revision', bound: MANY },
  source_workload_namespace: { help: 'namespace of the client', bound: FEW },
  source_principal: { help: 'SPIFFE identity of the client', bound: MANY },
  source_app: { help: 'as source_canonical_service', bound: MANY },
  source_version: { help: 'as source_canonical_revision', bound: MANY },
  source_cluster: { help: 'cluster of the client', bound: FEW },
  destination_workload: { help: 'owner of the server', bound: MANY },
  destination_canonical_service: { help: 'canonical service of the server', bound: MANY },
  destination_canonical_revision: { help: 'its revision', bound: MANY },
  destination_workload_namespace: { help: 'namespace of the server', bound: FEW },
  destination_principal: { help: 'SPIFFE identity of the server', bound: MANY },
  destination_app: { help: 'as destination_canonical_service', bound: MANY },
  destination_version: { help: 'as destination_canonical_revision', bound: MANY },
  destination_cluster: { help: 'cluster of the server', bound: FEW },
  destination_service: { help: 'hostname of the service', bound: MANY },
  destination_service_name: { help: 'name of the service', bound: MANY },
  destination_service_namespace: { help: 'namespace of the service', bound: FEW },
  source_region: { help: 'region of the client; of both ends, or of none where neither is known', bound: FEW },
  source_zone: { help: 'its zone', bound: FEW },
  destination_region: { help: 'region of the server', bound: FEW },
  destination_zone: { help: 'its zone', bound: FEW },
  request_protocol: { help: 'what was carried', bound: ['tcp', 'http', 'grpc', 'udp'] },
  response_code: { help: 'HTTP status; 0 when no response was sent', bound: FEW },
  grpc_response_status: { help: 'gRPC status, of gRPC requests only', bound: FEW },
  response_flags: { help: 'why it did not simply end; - when it did', bound: Object.keys(RESPONSE_FLAGS) },
  connection_security_policy: { help: 'whether both ends were authenticated', bound: ['mutual_tls', 'none', UNKNOWN] },
  cause: { help: 'why a connection was refused or cut', bound: Object.keys(CLOSE_CAUSES) },
  policy: { help: '<namespace>/<name> of an authorization policy', bound: FEW },
  decision: { help: 'what the policy would have done', bound: ['allow', 'deny', 'error'] },
  layer: {
    help: 'where it was evaluated: a connection, a request, or pairs of workloads ahead of their connections',
    bound: ['connection', 'request', 'pair'],
  },
  request_query_type: { help: 'type of a DNS query', bound: FEW },
  why: {
    help: 'why a DNS query failed',
    bound: [
      'malformed',
      'not-implemented',
      'unknown-workload',
      'unknown-mesh',
      'too-many-queries',
      'too-many-connections',
      'upstream-failed',
      'alias-circle',
    ],
  },
  path: { help: 'which way the kernel sent a connection or query', bound: COUNTERS },
  protocol: { help: 'protocol of a downstream connection', bound: ['http1', 'http2', 'tcp'] },
  enrollment: { help: 'whether the control plane knows the workload', bound: ['known', 'pending'] },
  lookup: { help: 'whether something has the name, nothing has, or that is not answered', bound: ['known', 'unknown', 'open'] },
  state: { help: 'how a certificate stands', bound: ['valid', 'pending', 'failing'] },
  reason: { help: 'how a discovery stream ended', bound: ['ConnectionError', 'Error', 'Reconnect', 'Complete'] },
  rule: { help: 'name of a rule of a policy', bound: FEW },
  mode: { help: 'whether a rule is enforced, or only counted', bound: ['enforced', 'shadow'] },
  fate: { help: 'what became of a span', bound: ['exported', 'refused', 'dropped'] },
  outcome: { help: 'what came of it', bound: ['answered', 'failed', 'dropped', 'fetched', 'ejected', 'overflow'] },
  limit: { help: 'the limit that was reached', bound: ['connections', 'pending', 'requests', 'retries'] },
  detector: {
    help: 'what an endpoint failed in',
    bound: ['consecutive_5xx', 'consecutive_gateway_failure', 'consecutive_local_origin_failure', 'success_rate'],
  },
  provider: { help: 'external authorizer, as the mesh configuration calls it', bound: FEW },
  answer: {
    help: 'what it said; error: nothing, and the request was refused; failed-open: nothing, and it passed',
    bound: ['allow', 'deny', 'error', 'failed-open'],
  },
  refusal: { help: 'why the control plane refused something', bound: Object.keys(CONTROL_REFUSALS) },
  resource: { help: 'kind of object of the cluster, as paths of the API server name it', bound: FEW },
  door: { help: 'kind of port', bound: ['tunnel', 'control', 'page'] },
  closed_for: { help: 'why a connection that had proved nothing was closed', bound: Object.keys(DOOR_CAUSES) },
  component: { help: 'part of the mesh', bound: ['ztunnel', 'proxy', 'pilot'] },
  tag: { help: 'version', bound: 1 },
  entry: { help: 'where a mistake of the program was caught; process: nowhere but by the last resort', bound: ENTRIES },
  metric: { help: 'name of a metric', bound: FEW },
} as const satisfies Readonly<Record<string, LabelMeaning>>;

/** A label of a metric. */
export type LabelName = keyof typeof LABELS;

/** The labels of ztunnel's TCP metrics and of Istio's requests, in ztunnel's order; locality is none of the latter. */
export const PEER_LABELS = [
  'reporter',
  'source_workload',
  'source_canonical_service',
  'source_canonical_revision',
  'source_workload_namespace',
  'source_principal',
  'source_app',
  'source_version',
  'source_cluster',
  'destination_service',
  'destination_service_namespace',
  'destination_service_name',
  'destination_workload',
  'destination_canonical_service',
  'destination_canonical_revision',
  'destination_workload_namespace',
  'destination_principal',
  'destination_app',
  'destination_version',
  'destination_cluster',
  'request_protocol',
  'response_flags',
  'connection_security_policy',
] as const satisfies readonly LabelName[];

/** Where the two ends are. All are '' where neither is known, and then a page does not show them. */
export const LOCALITY_LABELS = [
  'source_region',
  'source_zone',
  'destination_region',
  'destination_zone',
] as const satisfies readonly LabelName[];

/** All labels of ztunnel's TCP metrics. */
export const TCP_LABELS = [...PEER_LABELS, ...LOCALITY_LABELS] as const satisfies readonly LabelName[];

/** What a request adds to its peers. */
export const REQUEST_LABELS = [...PEER_LABELS, 'response_code', 'grpc_response_status'] as const satisfies readonly LabelName[];

/** The labels of ztunnel's DNS metrics. */
export const DNS_LABELS = [
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
] as const satisfies readonly LabelName[];
