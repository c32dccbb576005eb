import { formatIdentity, type Identity } from '#model/identity/identity.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { RecordOrigin, RecordPath, RecordSource } from './access-record.ts';
import type { ResponseFlags } from './close-cause.ts';
import { type LOCALITY_LABELS, UNKNOWN } from './labels.ts';
import type { Count, Distribution, Meters } from './meters.ts';
import { isRuled, type RuledLabels } from './metric-rules.ts';
import type { CounterName, HistogramName, LabelValues } from './metrics.ts';

/** Istio's labels of a connection or request. */
export type PeerLabels = LabelValues<'istio_tcp_connections_opened_total'>;

type LocalityLabels = Record<(typeof LOCALITY_LABELS)[number], string>;

type RequestCounter = Extract<CounterName, `istio_re${string}`>;
type RequestHistogram = Extract<HistogramName, `istio_re${string}`>;

/** What is counted of each connection. */
export type PeerCounter = Extract<CounterName, `istio_tcp_${string}`>;

/** The series that a connection adds to when it ends after it was carried. */
export type EndedSeries = { readonly closed: Count; readonly received: Count; readonly sent: Count };

/** The series that one request adds to; null: a Telemetry wants it not to be counted there, or it has no messages of gRPC. */
export type RequestSeries = {
  readonly total: Count | null;
  readonly duration: Distribution | null;
  readonly requestBytes: Distribution | null;
  readonly responseBytes: Distribution | null;
  readonly requestMessages: Count | null;
  readonly responseMessages: Count | null;
};

/** What tells one series of connections from another. */
type Between = { source: RecordSource; origin: RecordOrigin; path: RecordPath; flag: ResponseFlags };

/** What was found last. Connections come in bursts between the same two, and a comparison costs a tenth of a key and its look-up. */
class Last<Found> {
  #of: Between | null = null;
  #name = '';
  #found: Found | null = null;

  get(name: string, source: RecordSource, origin: RecordOrigin, path: RecordPath, flag: ResponseFlags): Found | null {
    const of = this.#of;
    if (of === null || this.#name !== name || of.flag !== flag || of.origin.reporter !== origin.reporter) return null;
    if (of.source.workload !== source.workload || of.source.identity !== source.identity) return null;
    const isSame = of.path.workload === path.workload && of.path.identity === path.identity && of.path.service === path.service;
    return isSame ? this.#found : null;
  }

  set(name: string, of: Between, found: Found): Found {
    this.#name = name;
    this.#of = of;
    this.#found = found;
    return found;
  }
}

/** What a request adds to the labels of its connection; `grpcStatus` null: it was none of gRPC. */
export type RequestFacts = { readonly flag: ResponseFlags; readonly responseCode: number; readonly grpcStatus: string | null };

/**
 * Finds the series of connections and requests by who talks to whom. Twenty-seven labels cost 8 µs to look up; the
 * objects that they are made of cost 0.5 µs, so what was found is kept.
 */
export class PeerSeries {
  readonly #meters: Meters;
  readonly #ids = new WeakMap<object, number>();
  #lastId = 0;
  #counts = new Map<string, Count>();
  #ended = new Map<string, EndedSeries>();
  #requests = new Map<string, RequestSeries>();
  readonly #lastCount = new Last<Count>();
  readonly #lastEnded = new Last<EndedSeries>();

  constructor(meters: Meters) {
    this.#meters = meters;
  }

  /** The series of one counter for connections like this one. */
  count(name: PeerCounter, source: RecordSource, origin: RecordOrigin, path: RecordPath, flag: ResponseFlags): Count {
    const last = this.#lastCount.get(name, source, origin, path, flag);
    return last ?? this.#lastCount.set(name, { source, origin, path, flag }, this.#findCount(name, source, origin, path, flag));
  }

  #findCount(name: PeerCounter, source: RecordSource, origin: RecordOrigin, path: RecordPath, flag: ResponseFlags): Count {
    const key = `${name} ${flag} ${this.#keyOf(source, origin, path)}`;
    const known = this.#counts.get(key);
    if (known !== undefined) return known;
    const made = this.#meters.counter(name, peerLabels(source, origin, path, 'tcp', flag));
    // Starting anew is rare and costs one look-up per series; what was counted is in the meters.
    if (this.#counts.size >= TELEMETRY.seriesMax) this.#counts = new Map();
    this.#counts.set(key, made);
    return made;
  }

  /** The series of the end of connections like this one: found at once, as three names would be looked up three times. */
  ended(source: RecordSource, origin: RecordOrigin, path: RecordPath, flag: ResponseFlags): EndedSeries {
    const last = this.#lastEnded.get('', source, origin, path, flag);
    return last ?? this.#lastEnded.set('', { source, origin, path, flag }, this.#findEnded(source, origin, path, flag));
  }

  #findEnded(source: RecordSource, origin: RecordOrigin, path: RecordPath, flag: ResponseFlags): EndedSeries {
    const key = `${flag} ${this.#keyOf(source, origin, path)}`;
    const known = this.#ended.get(key);
    if (known !== undefined) return known;
    const made = {
      closed: this.count('istio_tcp_connections_closed_total', source, origin, path, flag),
      received: this.count('istio_tcp_received_bytes_total', source, origin, path, flag),
      sent: this.count('istio_tcp_sent_bytes_total', source, origin, path, flag),
    };
    if (this.#ended.size >= TELEMETRY.seriesMax) this.#ended = new Map();
    this.#ended.set(key, made);
    return made;
  }

  /** The series for requests like this one. `ruled`: what a Telemetry changes of it. */
  request(
    source: RecordSource,
    origin: RecordOrigin,
    path: RecordPath,
    facts: RequestFacts,
    ruled: RuledLabels | null = null,
  ): RequestSeries {
    const { flag, responseCode, grpcStatus } = facts;
    const key = `${responseCode} ${flag} ${grpcStatus} ${this.#keyOf(source, origin, path)}${this.#ruledKey(ruled)}`;
    const known = this.#requests.get(key);
    if (known !== undefined) return known;
    const labels = {
      ...peerLabels(source, origin, path, grpcStatus === null ? 'http' : 'grpc', flag),
      response_code: String(responseCode),
      grpc_response_status: grpcStatus ?? '',
    };
    const meters = this.#meters;
    const counted = (name: RequestCounter): Count | null => {
      const changed = ruled?.of(name) ?? {};
      return changed === false ? null : meters.counter(name, { ...labels, ...changed }, changed);
    };
    const observed = (name: RequestHistogram): Distribution | null => {
      const changed = ruled?.of(name) ?? {};
      return changed === false ? null : meters.histogram(name, { ...labels, ...changed }, changed);
    };
    const made = {
      total: counted('istio_requests_total'),
      duration: observed('istio_request_duration_milliseconds'),
      requestBytes: observed('istio_request_bytes'),
      responseBytes: observed('istio_response_bytes'),
      requestMessages: grpcStatus === null ? null : counted('istio_request_messages_total'),
      responseMessages: grpcStatus === null ? null : counted('istio_response_messages_total'),
    };
    if (this.#requests.size >= TELEMETRY.seriesMax) this.#requests = new Map();
    this.#requests.set(key, made);
    return made;
  }

  /** As `count`, of a connection that a Telemetry speaks of; null: it is not counted there. */
  ruledCount(
    name: PeerCounter,
    source: RecordSource,
    origin: RecordOrigin,
    path: RecordPath,
    flag: ResponseFlags,
    ruled: RuledLabels | null,
  ): Count | null {
    const changed = ruled === null || !isRuled(name) ? undefined : ruled.of(name);
    if (changed === undefined) return this.count(name, source, origin, path, flag);
    if (changed === false) return null;
    const key = `${name} ${flag} ${this.#keyOf(source, origin, path)}${this.#ruledKey(ruled)}`;
    const labels = { ...peerLabels(source, origin, path, 'tcp', flag), ...changed };
    const made = this.#counts.get(key) ?? this.#meters.counter(name, labels, changed);
    if (this.#counts.size >= TELEMETRY.seriesMax) this.#counts = new Map();
    this.#counts.set(key, made);
    return made;
  }

  #ruledKey(ruled: RuledLabels | null): string {
    return ruled === null ? '' : ` ${this.#idOf(ruled.rules)} ${ruled.key}`;
  }

  /** Records are replaced whole when they change, so their identity stands for what they say. */
  #keyOf(source: RecordSource, { reporter }: RecordOrigin, path: RecordPath): string {
    const client = `${this.#idOf(source.workload)} ${identityKey(source.identity)}`;
    const server = `${this.#idOf(path.workload)} ${identityKey(path.identity)} ${this.#idOf(path.service)}`;
    return `${reporter} ${client} ${server}`;
  }

  #idOf(record: object | null): number {
    if (record === null) return 0;
    const known = this.#ids.get(record);
    if (known !== undefined) return known;
    this.#ids.set(record, ++this.#lastId);
    return this.#lastId;
  }
}

function identityKey(identity: Identity | null): string {
  return identity === null ? '' : `${identity.namespace}/${identity.serviceAccount}/${identity.trustDomain}`;
}

/** The labels under which a connection or request is counted; what is not known says "unknown", as Istio's do. */
export function peerLabels(
  source: RecordSource,
  { reporter }: RecordOrigin,
  path: RecordPath,
  protocol: 'tcp' | 'http' | 'grpc',
  flag: ResponseFlags,
): PeerLabels {
  const client = workloadLabels(source.workload);
  const server = workloadLabels(path.workload);
  return {
    reporter,
    source_workload: client.workload,
    source_canonical_service: client.service,
    source_canonical_revision: client.revision,
    source_workload_namespace: client.namespace,
    source_principal: principal(source.identity),
    source_app: client.service,
    source_version: client.revision,
    source_cluster: client.cluster,
    destination_service: path.service?.hostname ?? UNKNOWN,
    destination_service_namespace: path.service?.namespace ?? UNKNOWN,
    destination_service_name: path.service?.name ?? UNKNOWN,
    destination_workload: server.workload,
    destination_canonical_service: server.service,
    destination_canonical_revision: server.revision,
    destination_workload_namespace: server.namespace,
    destination_principal: principal(path.identity),
    destination_app: server.service,
    destination_version: server.revision,
    destination_cluster: server.cluster,
    request_protocol: protocol,
    response_flags: flag,
    connection_security_policy: securityOf(reporter, source, path),
    ...localityLabels(source.workload, path.workload),
  };
}

/** As a ztunnel has them: where one end is known, the other says so if it is not. */
function localityLabels(client: Workload | null, server: Workload | null): LocalityLabels {
  const all = {
    source_region: client?.locality.region ?? '',
    source_zone: client?.locality.zone ?? '',
    destination_region: server?.locality.region ?? '',
    destination_zone: server?.locality.zone ?? '',
  };
  if (Object.values(all).every((value) => value === '')) return all;
  return {
    source_region: all.source_region || UNKNOWN,
    source_zone: all.source_zone || UNKNOWN,
    destination_region: all.destination_region || UNKNOWN,
    destination_zone: all.destination_zone || UNKNOWN,
  };
}

/** A waypoint has an identity of its own, so it is the client's that decides; an agent needs to know both. */
function securityOf(reporter: RecordOrigin['reporter'], source: RecordSource, path: RecordPath): string {
  if (source.identity === null) return reporter === 'waypoint' ? 'none' : UNKNOWN;
  return reporter === 'waypoint' || path.identity !== null ? 'mutual_tls' : UNKNOWN;
}

type WorkloadLabels = { workload: string; service: string; revision: string; namespace: string; cluster: string };

function workloadLabels(workload: Workload | null): WorkloadLabels {
  return {
    workload: workload?.workloadName || workload?.name || UNKNOWN,
    service: workload?.canonicalName || UNKNOWN,
    revision: workload?.canonicalRevision || UNKNOWN,
    namespace: workload?.namespace || UNKNOWN,
    cluster: workload?.clusterId || UNKNOWN,
  };
}

function principal(identity: Identity | null): string {
  return identity === null ? UNKNOWN : formatIdentity(identity);
}
