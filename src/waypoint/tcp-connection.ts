import type { Duplex } from 'node:stream';
import { formatAddress } from '#model/address/ip.ts';
import { evaluate, type PolicyVerdict } from '#model/policy/l7/policy-set.ts';
import { pickLeastLoaded } from '#model/routing/least-request.ts';
import { type ConnectionFacts, policyFacts } from '#waypoint/connection-facts.ts';
import type { LiveConnection, WaypointContext } from '#waypoint/context.ts';
import { describeDestination } from '#waypoint/destination.ts';
import { type RelayedBytes, relayRaw } from '#waypoint/relay-raw.ts';
import type { ResponseFlag } from '#waypoint/response-flags.ts';
import type { Snapshot } from '#waypoint/snapshot.ts';
import { dial } from '#waypoint/upstream/dial.ts';
import type { UpstreamEndpoint } from '#waypoint/upstream/endpoint.ts';
import { familyFor } from '#waypoint/upstream/upstreams.ts';

/** One connection that is not HTTP: policies see what TCP shows of it, then its bytes pass (config-api 3.6). */
export class TcpConnection implements LiveConnection {
  readonly #context: WaypointContext;
  readonly #facts: ConnectionFacts;
  readonly #stream: Duplex;
  readonly #startedMs: number;
  #endpoint: UpstreamEndpoint | null = null;
  #verdict: PolicyVerdict | null = null;
  #bytes: RelayedBytes = { fromA: 0, fromB: 0 };
  #over = false;

  constructor(context: WaypointContext, facts: ConnectionFacts, stream: Duplex) {
    this.#context = context;
    this.#facts = facts;
    this.#stream = stream;
    this.#startedMs = context.effects.clock.nowMs();
    stream.on('error', () => {});
    stream.on('close', () => this.#finish('DC', ''));
  }

  /** Authorizes, connects and relays; `early` was already read from the stream. */
  start(snapshot: Snapshot, early: Buffer): void {
    this.#context.counters.tcpConnections++;
    this.#context.live.add(this);
    if (!this.isAllowed(snapshot)) {
      this.cut();
      return;
    }
    const endpoint = this.#choose();
    if (endpoint === null) {
      this.#finish('UH', 'no_healthy_upstream');
      this.#stream.destroy();
      return;
    }
    this.#endpoint = endpoint;
    endpoint.active++;
    dial(this.#context.self, this.#context.effects, endpoint, this.#facts.client).then((outcome) => {
      if (outcome.kind === 'open') this.#relay(outcome.stream, early);
      else {
        this.#context.counters.upstreamConnectFailures++;
        this.#finish('UF', outcome.problem.details);
        this.#stream.destroy();
      }
    });
  }

  /** What the policies of `snapshot` say of this connection. */
  isAllowed(snapshot: Snapshot): boolean {
    const { destination } = this.#facts;
    const policies =
      destination.kind === 'workload' ? snapshot.workloadPolicies : snapshot.services.get(destination.key)?.policies;
    if (policies === undefined) return false;
    this.#verdict = evaluate(policies, policyFacts(this.#facts, null));
    return this.#verdict.kind === 'allow';
  }

  /** Closes a connection that a policy denies. */
  cut(): void {
    if (this.#over) return;
    this.#context.counters.tcpConnectionsDenied++;
    this.#finish('-', 'rbac_access_denied');
    this.#stream.destroy();
  }

  #choose(): UpstreamEndpoint | null {
    const { destination } = this.#facts;
    const { upstreams, effects } = this.#context;
    if (destination.kind === 'workload') return upstreams.workload(destination.workload, destination.address, destination.port);
    const service = upstreams.service(destination.key, destination.port, familyFor(destination.address));
    return service === null ? null : pickLeastLoaded(service.set, effects.random);
  }

  #relay(upstream: Duplex, early: Buffer): void {
    if (this.#over) {
      upstream.destroy();
      return;
    }
    this.#context.counters.upstreamConnections++;
    this.#stream.on('close', () => upstream.destroy());
    this.#bytes = relayRaw({ stream: this.#stream, early }, { stream: upstream, early: null }, (end) => {
      if (end.kind === 'complete') this.#finish('-', '');
      else this.#finish(end.side === 'a' ? 'DC' : 'UC', end.error.message);
    });
  }

  #finish(flag: ResponseFlag, details: string): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#endpoint !== null) this.#endpoint.active--;
    const { counters, effects } = this.#context;
    counters.bytesReceived += this.#bytes.fromA;
    counters.bytesSent += this.#bytes.fromB;
    this.#context.live.delete(this);
    const { client, destination, principal } = this.#facts;
    const by = this.#verdict?.by;
    effects.log.info(
      {
        protocol: 'TCP',
        flag,
        details,
        destination: describeDestination(destination),
        upstream: this.#endpoint === null ? null : formatAddress(this.#endpoint.ip, this.#endpoint.port),
        source: principal,
        sourceAddress: formatAddress(client.address, client.port),
        policy: by == null ? null : `${by.policy}#${by.index}`,
        durationMs: effects.clock.nowMs() - this.#startedMs,
        bytesReceived: this.#bytes.fromA,
        bytesSent: this.#bytes.fromB,
      },
      'connection',
    );
  }
}
