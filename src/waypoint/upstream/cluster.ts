import { type EndpointSet, pickLeastLoaded } from '#model/balancing/least-request.ts';
import type { Random } from '#model/effects/clock.ts';
import { fitsBudget, RetryLedger } from '#model/resilience/budget.ts';
import { type CircuitLimit, isReached } from '#model/resilience/circuit.ts';
import type { Observation } from '#model/resilience/outlier.ts';
import type { DestinationSettings } from '#model/waypoint/destination-settings.ts';
import type { DistinctTls, UpstreamTls } from '#model/waypoint/upstream-tls.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import { type Ejection, Ejections } from '#waypoint/upstream/ejections.ts';
import { EndpointChoice } from '#waypoint/upstream/endpoint-choice.ts';
import { LocalityChoice } from '#waypoint/upstream/locality-choice.ts';
import type { UpstreamService } from '#waypoint/upstream/upstreams.ts';

/** What is remembered of one cluster, whatever its settings come to be. */
export class ClusterState {
  /** Under way; those that wait for a connection included. */
  requests = 0;
  /** Those that wait. */
  pending = 0;
  /** Requests that are sent again, or are about to be. */
  retries = 0;
  /** Connections that are not of HTTP. */
  connections = 0;
  readonly ledger = new RetryLedger();
  readonly ejections = new Ejections();
  /** By the place of a locality; one where nothing is preferred. */
  readonly choices: EndpointChoice[] = [];
  readonly localities = new LocalityChoice();
  #tls: { readonly written: string; readonly id: string } | null = null;

  /** A configuration that says the same again changes nothing. */
  distinct(wanted: UpstreamTls): DistinctTls {
    const written = JSON.stringify(wanted);
    if (this.#tls?.written !== written) this.#tls = { written, id: `tls-${++tlsIds}` };
    return { id: this.#tls.id, wanted };
  }
}

/** Ids that were given away. */
let tlsIds = 0;

/** What a cluster asks and tells. */
export type ClusterEffects = {
  nowMs(): number;
  /** HTTP connections open to these endpoints. */
  openConnections(endpoints: readonly UpstreamEndpoint[]): number;
  /** A limit was reached, and something was refused. */
  onOverflow(limit: CircuitLimit): void;
  onEjection(ejection: Ejection): void;
};

/**
 * What Envoy calls a cluster: a port of a service, or of a subset of it, as one configuration has it treated. Only those have one of
 * which something is said; for all others requests pay nothing.
 */
export class Cluster {
  readonly settings: DestinationSettings;
  /** Null: none is asked for. */
  readonly tls: DistinctTls | null;
  readonly #state: ClusterState;
  readonly #effects: ClusterEffects;
  #endpoints: readonly UpstreamEndpoint[] = [];

  constructor(settings: DestinationSettings, state: ClusterState, effects: ClusterEffects) {
    this.settings = settings;
    this.tls = settings.tls === undefined ? null : state.distinct(settings.tls);
    this.#state = state;
    this.#effects = effects;
    if (settings.outlierDetection === undefined) state.ejections.clear();
  }

  /** Those of the endpoints that are not left out for their failures, of one locality. `draw`: between 0 and 1, by which that is chosen. */
  usable(service: UpstreamService, draw: () => number): EndpointSet<UpstreamEndpoint> {
    const { outlierDetection, locality = null } = this.settings;
    // What the service prefers is one of the things that localities go by.
    const all = locality === null ? service.set : service.everywhere;
    this.#endpoints = all.endpoints;
    const { ejections, localities } = this.#state;
    const nowMs = outlierDetection === undefined ? 0 : this.#effects.nowMs();
    if (locality !== null) {
      const left = outlierDetection === undefined ? all : ejections.left(all, outlierDetection, nowMs);
      const chosen = localities.choose(service, locality, left, outlierDetection?.minHealthPercent ?? 0, draw);
      if (chosen !== null) return chosen;
    }
    return outlierDetection === undefined ? all : ejections.usable(all, outlierDetection, nowMs);
  }

  /** One of those that are usable; `hash`, `draw`: as `ChoiceFacts` has them. Null when there is none. */
  pick(set: EndpointSet<UpstreamEndpoint>, random: Random, hash: number | null, draw: number): UpstreamEndpoint | null {
    const { balancer } = this.settings;
    if (balancer === undefined) return pickLeastLoaded(set, random);
    const { choices, localities } = this.#state;
    const place = localities.placeOf(set);
    choices[place] ??= new EndpointChoice();
    return choices[place].pick(set, balancer, { hash, draw, random, nowMs: this.#effects.nowMs() });
  }

  isEjected(endpoint: UpstreamEndpoint): boolean {
    return this.settings.outlierDetection !== undefined && this.#state.ejections.isEjected(endpoint);
  }

  /** A try begins, the first of its request or a further one; false: too many are under way, and it must not. */
  enter(isFirst: boolean): boolean {
    const { circuitBreaker, retryBudget } = this.settings;
    if (!this.#mayBegin('requests', circuitBreaker?.maxRequests, this.#state.requests)) return false;
    this.#state.requests++;
    if (isFirst && retryBudget?.of.kind === 'interval')
      this.#state.ledger.request(this.#effects.nowMs(), retryBudget.of.intervalMs);
    return true;
  }

  /** A try that was let in is over. */
  leave(): void {
    this.#state.requests--;
  }

  /** Whether a request may be sent again; who is told so calls `retryOver` once. */
  enterRetry(): boolean {
    const { circuitBreaker, retryBudget } = this.settings;
    const { requests: active, retries: activeRetries, ledger } = this.#state;
    const nowMs = this.#effects.nowMs();
    // As in Envoy a budget stands in the place of a number.
    const fits =
      retryBudget === undefined
        ? !isReached(circuitBreaker?.maxRetries ?? null, activeRetries)
        : fitsBudget(retryBudget, { active, activeRetries, ledger, nowMs });
    if (!fits) {
      this.#effects.onOverflow('retries');
      return false;
    }
    this.#state.retries++;
    if (retryBudget?.of.kind === 'interval') ledger.retry(nowMs, retryBudget.of.intervalMs);
    return true;
  }

  retryOver(): void {
    this.#state.retries--;
  }

  /** A request begins to wait for a connection; who is told so calls `waitOver` once. */
  enterWait(): boolean {
    if (!this.#mayBegin('pending', this.settings.circuitBreaker?.maxPendingRequests, this.#state.pending)) return false;
    this.#state.pending++;
    return true;
  }

  waitOver(): void {
    this.#state.pending--;
  }

  /** Whether one more connection may be opened. */
  mayOpen(): boolean {
    const limit = this.settings.circuitBreaker?.maxConnections ?? null;
    if (limit === null) return true;
    return !isReached(limit, this.#effects.openConnections(this.#endpoints) + this.#state.connections);
  }

  /** A connection that is not of HTTP begins; who is told so calls `connectionOver` once. */
  enterConnection(): boolean {
    if (!this.mayOpen()) {
      this.#effects.onOverflow('connections');
      return false;
    }
    this.#state.connections++;
    return true;
  }

  connectionOver(): void {
    this.#state.connections--;
  }

  /** What a try says of its endpoint. */
  observe(endpoint: UpstreamEndpoint, seen: Observation): void {
    const { outlierDetection } = this.settings;
    if (outlierDetection === undefined) return;
    for (const ejection of this.#state.ejections.observe(endpoint, seen, outlierDetection, this.#effects.nowMs()))
      this.#effects.onEjection(ejection);
  }

  #mayBegin(what: CircuitLimit, limit: number | null | undefined, underWay: number): boolean {
    if (limit === undefined || !isReached(limit, underWay)) return true;
    this.#effects.onOverflow(what);
    return false;
  }
}
