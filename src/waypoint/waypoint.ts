import { splitHostPort, tryParseIp } from '#model/address/ip.ts';
import { guardWork } from '#model/effects/mishaps.ts';
import { Roster } from '#model/effects/roster.ts';
import { Waiters } from '#model/effects/waiters.ts';
import type { MeshState, Touched } from '#model/mesh/mesh-state.ts';
import type { ServiceKey } from '#model/mesh/service.ts';
import { type AttemptPolicy, DEFAULT_ATTEMPTS } from '#model/resilience/attempts.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import { PeerSeries } from '#model/telemetry/peer-series.ts';
import type { WaypointBase, WaypointConfig, WaypointService } from '#model/waypoint/config.ts';
import { ConnectionAuthorizer } from '#waypoint/connection/connection-authorizer.ts';
import { connectionFacts, connectionRecord, type Downstream } from '#waypoint/connection/connection-facts.ts';
import { ConnectionRoutes } from '#waypoint/connection/connection-routes.ts';
import { Connections } from '#waypoint/connection/connections.ts';
import {
  type Destination,
  type Dialled,
  isServed,
  isStranded,
  type Known,
  type Resolution,
  resolveDestination,
} from '#waypoint/connection/destination.ts';
import { refusalRecord } from '#waypoint/connection/report.ts';
import type { Exchange } from '#waypoint/exchange/exchange.ts';
import { Pipeline } from '#waypoint/exchange/pipeline.ts';
import { requestHandlers } from '#waypoint/exchange/requests.ts';
import { Counters, type WaypointCounts } from '#waypoint/self/counters.ts';
import type { WaypointEffects } from '#waypoint/self/effects.ts';
import { replicaCount, type WaypointSelf } from '#waypoint/self/self.ts';
import { stageList } from '#waypoint/stages/list.ts';
import { Slots } from '#waypoint/state/slots.ts';
import type { LiveConnection } from '#waypoint/state/snapshot.ts';
import { WaypointState } from '#waypoint/state/waypoint-state.ts';
import { Clusters } from '#waypoint/upstream/clusters.ts';
import { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** Whether a tunnel may be opened to what it names; 400 and 503 as a node proxy would answer. */
export type Admission = { kind: 'accept'; dialled: Dialled } | { kind: 'refuse'; status: 400 | 503; why: string };

/** The L7 proxy of one Gateway. The mesh state belongs to the caller, who says when it has changed. */
export class Waypoint {
  readonly counters = new Counters();
  readonly meters: Meters;
  readonly peers: PeerSeries;
  readonly #self: WaypointSelf;
  readonly #mesh: MeshState;
  readonly #effects: WaypointEffects;
  readonly #upstreams: Upstreams;
  readonly #connections: Connections;
  readonly #live = new Roster<LiveConnection>();
  readonly #state: WaypointState;
  readonly #coming: Waiters;
  readonly #stopSweeping: (() => void)[];
  readonly #tellsProblems: boolean;
  #configured = false;
  #closed = false;

  constructor({ self, mesh, effects, attempts = DEFAULT_ATTEMPTS, meters, tellsProblems = true, parts = 1 }: WaypointOptions) {
    this.meters = meters;
    this.peers = new PeerSeries(meters);
    this.#tellsProblems = tellsProblems;
    this.#self = self;
    this.#mesh = mesh;
    this.#effects = effects;
    this.#coming = new Waiters(effects.clock, { deadlineMs: WAYPOINT.comingMs, max: WAYPOINT.comingMax });
    const counters = this.counters;
    const live = this.#live;
    const state = new WaypointState(mesh);
    const upstreams = new Upstreams({ self, mesh, effects, counters, state });
    this.#state = state;
    this.#upstreams = upstreams;
    const telemetry = { meters: this.meters, peers: this.peers };
    const clusters = new Clusters({ state, upstreams, effects, telemetry, parts });
    const routes = new ConnectionRoutes(state, upstreams, effects.random);
    const authorizer = new ConnectionAuthorizer({ upstreams, effects });
    const perExchange = new Slots<Exchange>();
    const pipeline = new Pipeline(
      stageList({
        effects,
        counters,
        telemetry,
        state,
        perExchange,
        upstreams,
        clusters,
        attempts,
        replicas: replicaCount(self, mesh, parts, effects.clock),
      }),
      effects.mishaps,
      effects.clock,
    );
    const requests = requestHandlers({ effects, counters, telemetry, pipeline, live, state });
    this.#connections = new Connections(
      { self, effects, counters, telemetry, upstreams, clusters, routes, authorizer, live, state },
      requests,
    );
    this.#stopSweeping = [
      effects.clock.every(WAYPOINT.sweepUpstreamsMs, () => this.#upstreams.sweep()),
      effects.clock.every(WAYPOINT.sweepDownstreamsMs, () => this.#connections.sweep()),
    ];
  }

  /** A new configuration; null: none, so everything is refused. What is under way and no longer allowed is cut. */
  configure(config: WaypointConfig | null): void {
    if (config !== null) {
      const { services, ...base } = config;
      this.prepare(base);
      for (const service of services) this.prepareService(service);
    }
    this.putInForce(config?.services.map(({ key }) => key) ?? null);
  }

  /** What all services are compiled with from here on; nothing of it is in force yet. */
  prepare(base: WaypointBase): void {
    this.#state.next.begin(base);
  }

  /** Compiles what is said of one service of the next configuration. */
  prepareService(service: WaypointService): void {
    const { log } = this.#effects;
    this.#state.next.add(service, (why) => {
      if (this.#tellsProblems) log.warn({ problem: why }, 'part of the configuration cannot be used');
    });
  }

  /** What was prepared of these services applies from now on; null: nothing does. Throws when one was not prepared. */
  putInForce(keys: readonly ServiceKey[] | null): void {
    const inForce = this.#state.putInForce(keys);
    this.#configured = keys !== null;
    for (const connection of this.#live.all()) if (!connection.isAllowed(inForce)) connection.cut();
    this.#connections.drainStranded((destination) => isStranded(this.#known, destination));
    this.#coming.check();
  }

  /** The mesh state has changed, as its `apply` reported. */
  meshChanged(touched: Touched): void {
    this.#state.meshChanged(touched);
    const { services, workloads } = touched;
    if (services.size === 0 && workloads.size === 0) return;
    this.#coming.check();
    this.#connections.drainStranded((destination) => {
      const changed = destination.kind === 'service' ? services.has(destination.key) : workloads.has(destination.workload.uid);
      return changed && !isServed(this.#known, destination);
    });
  }

  /** Judges a CONNECT by what it asks for: `ip:port`, `[v6]:port` or `hostname:port`. */
  admit(authority: string): Admission {
    const dialled = dialledBy(authority);
    if (dialled === null) return { kind: 'refuse', status: 400, why: `"${authority}" is not host:port` };
    const resolution = this.#resolve(dialled);
    return resolution.kind === 'found' ? { kind: 'accept', dialled } : { ...resolution, kind: 'refuse' };
  }

  /** When what a CONNECT asks for is served, or the time is over in which it may come to be; at once where that is no place. */
  async expected(authority: string): Promise<void> {
    const dialled = dialledBy(authority);
    if (dialled !== null) await this.#expected(dialled);
  }

  /** Serves a connection until it ends; one to a destination that stays unknown or unbound is reset. */
  accept(downstream: Downstream): void {
    const resolution = this.#resolve(downstream.dialled);
    if (resolution.kind === 'found') this.#serve(downstream, resolution.destination);
    else guardWork(this.#effects.mishaps, 'accept', this.#serveExpected(downstream), () => downstream.stream.reset());
  }

  /** What it has counted, and what it keeps now. */
  get counts(): WaypointCounts {
    return { counters: this.counters, endpoints: this.#state.counts.endpoints, pools: this.#upstreams.pools };
  }

  /** Connections that are open. */
  get openConnections(): number {
    return this.#connections.size;
  }

  /**
   * HTTP connections end with the response under way, TCP ones when they end by themselves. Who listens has stopped that; a tunnel that
   * was on its way is served as what is open is.
   */
  drain(): void {
    this.#connections.drain();
  }

  /** Resolves when no connection is left, or after so long. */
  drained(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#effects.clock.after(withinMs, resolve);
      this.#connections.whenEmpty(() => {
        cancel();
        resolve();
      });
    });
  }

  /** Cuts everything. */
  close(): void {
    this.#closed = true;
    for (const stop of this.#stopSweeping) stop();
    this.#coming.check();
    this.#connections.destroyAll();
    this.#state.clear();
  }

  #serve(downstream: Downstream, destination: Destination): void {
    this.#connections.serve(downstream.stream, connectionFacts(downstream, destination, this.#mesh));
  }

  async #serveExpected(downstream: Downstream): Promise<void> {
    const { stream, dialled } = downstream;
    await this.#expected(dialled);
    if (stream.isOver) return; // its client has not waited
    const resolution = this.#resolve(dialled);
    if (resolution.kind === 'found') return this.#serve(downstream, resolution.destination);
    this.counters.connectionsRefused++;
    const record = connectionRecord(downstream, null, this.#mesh);
    this.#effects.log.info(refusalRecord(this, record, 'not-bound', resolution.why), 'refused a connection');
    stream.reset();
  }

  async #expected(dialled: Dialled): Promise<void> {
    await this.#coming.until(() => this.#closed || this.#resolve(dialled).kind === 'found' || null);
  }

  #resolve(dialled: Dialled): Resolution {
    if (this.#closed) return { kind: 'refused', status: 503, why: 'the waypoint is shutting down' };
    return resolveDestination(this.#known, dialled);
  }

  get #known(): Known {
    return { self: this.#self, mesh: this.#mesh, snapshot: this.#configured ? this.#state.snapshot : null };
  }
}

/** What a CONNECT asks for; null: that is no place. */
function dialledBy(authority: string): Dialled | null {
  const place = splitHostPort(authority);
  return place && { address: tryParseIp(place.host) ?? place.host, port: place.port };
}

/** What a waypoint is made of. */
export type WaypointOptions = {
  self: WaypointSelf;
  /** Only read here. */
  mesh: MeshState;
  effects: WaypointEffects;
  /** How often requests are tried. */
  attempts?: AttemptPolicy;
  /** Where it counts, perhaps beside others. */
  meters: Meters;
  /** False where another one tells what of the same configuration cannot be used. */
  tellsProblems?: boolean;
  /** In how many parts it serves; each has its share of what a limit allows. */
  parts?: number;
};

/** A waypoint that refuses everything until it is configured. */
export function createWaypoint(options: WaypointOptions): Waypoint {
  return new Waypoint(options);
}
