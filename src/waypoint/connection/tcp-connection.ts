import { fractionOf, hashOf } from '#model/balancing/consistent-hash.ts';
import { pickLeastLoaded } from '#model/balancing/least-request.ts';
import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import { Cut } from '#model/effects/cut.ts';
import { regardless } from '#model/effects/mishaps.ts';
import { decideL7, type PolicyVerdict } from '#model/policy/l7.ts';
import type { Observation } from '#model/resilience/outlier.ts';
import type { RecordPath } from '#model/telemetry/access-record.ts';
import type { CloseCause, ResponseFlag } from '#model/telemetry/close-cause.ts';
import type { Count } from '#model/telemetry/meters.ts';
import { type RuledLabels, ruledLabels } from '#model/telemetry/metric-rules.ts';
import type { PeerCounter } from '#model/telemetry/peer-series.ts';
import { Inquiry } from '#waypoint/connection/connection-authorizer.ts';
import type { ConnectionContext } from '#waypoint/connection/connection-context.ts';
import { type ConnectionFacts, policyFacts } from '#waypoint/connection/connection-facts.ts';
import { policiesFor, telemetryFor } from '#waypoint/connection/destination.ts';
import { decidedBy, takenPath, tellConnection } from '#waypoint/connection/report.ts';
import { connectionShown } from '#waypoint/connection/shown.ts';
import { type TimeLimit, TimeLimits } from '#waypoint/connection/time-limits.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { LiveConnection, Snapshot } from '#waypoint/state/snapshot.ts';
import type { Cluster } from '#waypoint/upstream/cluster.ts';
import type { DialOutcome } from '#waypoint/upstream/connection-pool.ts';
import { dial } from '#waypoint/upstream/dial.ts';
import { familyFor } from '#waypoint/upstream/upstreams.ts';

/** One connection that is not HTTP: policies see what TCP shows of it, then its bytes pass (config-api 3.6). */
export class TcpConnection implements LiveConnection {
  place = -1;
  readonly #context: ConnectionContext;
  readonly #facts: ConnectionFacts;
  readonly #stream: ByteStream;
  readonly #serverName: string | null;
  /** Ends the relay with both its sides. */
  readonly #cut = new Cut();
  readonly #startedMs: number;
  #endpoint: UpstreamEndpoint | null = null;
  #limits: TimeLimits | null = null;
  /** Into which it was let. */
  #cluster: Cluster | null = null;
  #verdict: PolicyVerdict | null = null;
  #receivedBytes = 0;
  #sentBytes = 0;
  readonly #inquiry: Inquiry;
  /** By policies, and by all whom they have asked. */
  #isLetIn = false;
  #opened = false;
  #over = false;

  /** `serverName`: by TLS, where a route goes by it. */
  constructor(context: ConnectionContext, facts: ConnectionFacts, stream: ByteStream, serverName: string | null) {
    this.#context = context;
    this.#facts = facts;
    this.#stream = stream;
    this.#serverName = serverName;
    this.#inquiry = new Inquiry(context.authorizer, facts);
    this.#startedMs = context.effects.clock.monotonicMs();
  }

  /** Authorizes, connects and relays; `early` was already read from the stream. */
  start(snapshot: Snapshot, early: Buffer | null): void {
    this.#context.counters.tcpConnections++;
    this.#context.live.add(this);
    if (!this.isAllowed(snapshot)) {
      this.#deny('policy');
      return;
    }
    if (this.#inquiry.isDone(snapshot)) {
      this.#connect(snapshot, early);
      return;
    }
    this.#hold();
    this.#authorize(early).catch((error: unknown) => this.#mistaken(error));
  }

  /** Nothing is read until it is clear where it goes; a client that leaves is heard of. */
  #hold(): void {
    this.#stream.read(this.#waiting);
    this.#stream.pause();
  }

  /** Whoever is to be asked about it decides first; what is in force may change meanwhile. */
  async #authorize(early: Buffer | null): Promise<void> {
    const { state } = this.#context;
    const refusal = await this.#inquiry.ask(() => state.snapshot);
    if (this.#over) return;
    if (refusal !== null) this.#refuse('UAEX', refusal, 'policy');
    else if (this.isAllowed(state.snapshot)) this.#connect(state.snapshot, early);
    else this.#deny('policy');
  }

  #connect(snapshot: Snapshot, early: Buffer | null): void {
    this.#isLetIn = true;
    const { endpoint, cluster } = this.#choose(snapshot);
    if (cluster?.enterConnection() === false) {
      this.#finish('UO', 'too many connections', 'overflow');
      this.#stream.reset();
      return;
    }
    this.#cluster = cluster;
    if (endpoint === null) {
      this.#finish('UH', 'no_healthy_upstream', 'no-backend');
      this.#stream.reset();
      return;
    }
    this.#endpoint = endpoint;
    this.#hold();
    // From now on it counts as load, so that a slow connect does not draw everybody else to the same endpoint.
    endpoint.active++;
    const timeoutMs = cluster?.settings.connection?.connectTimeoutMs ?? null;
    dial(this.#context.self, this.#context.effects, endpoint, this.#facts.client, {
      timeoutMs,
      tls: cluster?.settings.tls,
      version: null,
    })
      .then((outcome) => {
        cluster?.observe(endpoint, observationOf(outcome));
        if (outcome.kind === 'open') return this.#relay(outcome.stream, early);
        this.#context.counters.upstreamConnectFailures++;
        this.#finish('UF', outcome.problem.details, 'connect-failed');
        this.#stream.reset();
      })
      .catch((error: unknown) => this.#mistaken(error));
  }

  #mistaken(error: unknown): void {
    this.#context.effects.mishaps.report('relay', error);
    this.#stream.reset();
    regardless(() => this.#finish('LR', 'a mistake of the waypoint', 'other'));
  }

  /** What the policies of `snapshot` say of this connection; who was let in without a question that is asked now has to come again. */
  isAllowed(snapshot: Snapshot): boolean {
    const policies = policiesFor(this.#facts.destination, snapshot);
    if (policies === null) return false;
    this.#verdict = decideL7(policies, policyFacts(this.#facts, null));
    return this.#verdict.kind === 'allow' && (!this.#isLetIn || this.#inquiry.isDone(snapshot));
  }

  /** Closes a connection that a policy came to deny. */
  cut(): void {
    this.#deny('policy-change');
  }

  /** Breaks off, as the waypoint ends. */
  destroy(): void {
    if (this.#over) return;
    this.#finish('-', 'the waypoint has ended', null);
    this.#end('the waypoint has ended');
  }

  readonly #waiting: StreamReader = {
    bytes: () => 0,
    end: () => {},
    writable: () => {},
    over: () => this.#finish('DC', '', null),
  };

  /** What was begun ends in resets, in both directions. */
  #end(why: string): void {
    this.#cut.abort(new Error(why));
    this.#stream.reset();
  }

  /** Its destination says how long it may be idle, or last. */
  #expire(limit: TimeLimit): void {
    if (limit === 'idle') this.#finish('-', 'idle_timeout', null);
    else this.#finish('DT', 'duration_timeout', null);
    this.#end(limit);
  }

  #deny(cause: 'policy' | 'policy-change'): void {
    this.#refuse('-', 'rbac_access_denied', cause);
  }

  #refuse(flag: ResponseFlag, details: string, cause: 'policy' | 'policy-change'): void {
    if (this.#over) return;
    this.#context.counters.tcpConnectionsDenied++;
    this.#finish(flag, details, cause);
    this.#end(cause);
  }

  /** The endpoint, null where there is none, and how connections to it are treated. */
  #choose(snapshot: Snapshot): { endpoint: UpstreamEndpoint | null; cluster: Cluster | null } {
    const { destination } = this.#facts;
    const { upstreams, clusters, effects } = this.#context;
    if (destination.kind === 'workload') {
      return { endpoint: upstreams.workload(destination.workload, destination.address, destination.port), cluster: null };
    }
    const bound = snapshot.services.get(destination.key) ?? null;
    const share = this.#context.routes.shareOf(destination, bound, this.#facts.client.identity, this.#serverName);
    const service =
      share === null ? null : upstreams.service(share.key, share.port, familyFor(destination.address), share.subset);
    if (share === null || service === null) return { endpoint: null, cluster: null };
    const cluster = clusters.of(bound, share.key, share.port, share.subset);
    if (cluster === null) return { endpoint: pickLeastLoaded(service.set, effects.random), cluster };
    const { balancer } = cluster.settings;
    // Of all that clients may be kept together by, a connection shows its address alone.
    const hash = balancer?.kind === 'hash' && balancer.key.kind === 'address' ? hashOf(this.#facts.client.address) : null;
    const set = cluster.usable(service, () => (hash === null ? effects.random() : fractionOf(hash)));
    return { endpoint: cluster.pick(set, effects.random, hash, 0), cluster };
  }

  async #relay(upstream: ByteStream, early: Buffer | null): Promise<void> {
    if (this.#over) {
      upstream.reset();
      return;
    }
    this.#context.counters.upstreamConnections++;
    this.#opened = true;
    this.#series('istio_tcp_connections_opened_total', '-', this.#ruled())?.add();
    const { clock } = this.#context.effects;
    const limits = new TimeLimits(this.#cluster?.settings.connection, clock, (limit) => this.#expire(limit));
    this.#limits = limits;
    const onBytes = (from: 'a' | 'b', bytes: number): void => {
      limits.touched();
      if (from === 'a') this.#receivedBytes += bytes;
      else this.#sentBytes += bytes;
    };
    try {
      if (early !== null) {
        // Before the relay begins: what it reads comes after it.
        this.#receivedBytes += early.length;
        upstream.write(early, 0, early.length);
      }
      const { brokenBy, error } = await this.#context.effects.relay(this.#stream, upstream, { cut: this.#cut, onBytes });
      if (brokenBy === null) this.#finish('-', '', null);
      else this.#finish(brokenBy === 'a' ? 'DC' : 'UC', error?.message ?? 'connection closed', null);
    } catch (mistake) {
      upstream.reset(); // nobody else knows of it
      throw mistake;
    }
  }

  #finish(flag: ResponseFlag, details: string, cause: CloseCause | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#inquiry.abort();
    if (this.#endpoint !== null) this.#endpoint.active--;
    this.#cluster?.connectionOver();
    this.#limits?.stop();
    const { counters, effects } = this.#context;
    counters.bytesReceived += this.#receivedBytes;
    counters.bytesSent += this.#sentBytes;
    this.#context.live.delete(this);
    this.#count(flag, cause);
    const outcome = {
      flag,
      cause,
      error: details,
      requestBytes: this.#receivedBytes,
      responseBytes: this.#sentBytes,
      durationMs: effects.clock.monotonicMs() - this.#startedMs,
      ...decidedBy(this.#verdict?.by),
    };
    // By what holds now: it may have lasted for days.
    const { logged } = telemetryFor(this.#facts.destination, this.#context.state.snapshot);
    if (logged?.(connectionShown(this.#facts, this.#endpoint)) === false) return;
    tellConnection(effects, this.#facts, this.#path(), outcome, this.#serverName);
  }

  #count(flag: ResponseFlag, cause: CloseCause | null): void {
    const { meters } = this.#context.telemetry;
    if (cause !== null) meters.counter('weft_refusals_total', { reporter: 'waypoint', cause }).add();
    const ruled = this.#ruled();
    this.#series(this.#opened ? 'istio_tcp_connections_closed_total' : 'istio_tcp_connections_failed_total', flag, ruled)?.add();
    if (!this.#opened) return;
    this.#series('istio_tcp_received_bytes_total', flag, ruled)?.add(this.#receivedBytes);
    this.#series('istio_tcp_sent_bytes_total', flag, ruled)?.add(this.#sentBytes);
  }

  /** What a Telemetry changes of how it is counted, by what holds now. */
  #ruled(): RuledLabels | null {
    const { metrics } = telemetryFor(this.#facts.destination, this.#context.state.snapshot);
    return metrics === null ? null : ruledLabels(metrics, connectionShown(this.#facts, this.#endpoint));
  }

  #series(name: PeerCounter, flag: ResponseFlag, ruled: RuledLabels | null): Count | null {
    const { source, origin } = this.#facts.record;
    return this.#context.telemetry.peers.ruledCount(name, source, origin, this.#path(), flag, ruled);
  }

  #path(): RecordPath {
    return takenPath(this.#facts.record.service, this.#facts.destination, this.#endpoint);
  }
}

/** All that a connection says of its endpoint is whether it could be reached. */
function observationOf(outcome: DialOutcome): Observation {
  if (outcome.kind === 'open') return { kind: 'status', status: 200 };
  return { kind: 'local', status: outcome.problem.kind === 'connect-timeout' ? 504 : 503 };
}
