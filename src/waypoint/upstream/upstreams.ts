import { type Family, familyOf, type IpAddress } from '#model/address/ip.ts';
import { type ClientLocation, type Endpoint, preferredEndpoints, usableEndpoints } from '#model/balancing/endpoints.ts';
import { type EndpointSet, endpointSet } from '#model/balancing/least-request.ts';
import { type ServicePlace, type Share, sharesOf } from '#model/balancing/shares.ts';
import { formatIdentity } from '#model/identity/identity.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { AppProtocol, Scope, Service, ServiceKey } from '#model/mesh/service.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { Subset } from '#model/routing/subsets.ts';
import type { DistinctTls } from '#model/waypoint/upstream-tls.ts';
import type { Counters } from '#waypoint/self/counters.ts';
import type { ClientInfo, WaypointEffects } from '#waypoint/self/effects.ts';
import { locationIn, ownClient, type WaypointSelf } from '#waypoint/self/self.ts';
import type { ServiceState, UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { KeptSlot } from '#waypoint/state/slots.ts';
import type { WaypointState } from '#waypoint/state/waypoint-state.ts';
import { ConnectionPool } from '#waypoint/upstream/connection-pool.ts';
import { dial } from '#waypoint/upstream/dial.ts';

/** A service port with the endpoints to choose from; worked out once, until the mesh changes. */
export type UpstreamService = {
  readonly appProtocol: AppProtocol;
  /** Those that the service prefers, from where this waypoint is. */
  readonly set: EndpointSet<UpstreamEndpoint>;
  /** Those that it allows; the same where it prefers none. */
  readonly everywhere: EndpointSet<UpstreamEndpoint>;
  /** What it prefers, nearest first; empty: nothing. */
  readonly preference: readonly Scope[];
  /** From where the waypoint looks at them. */
  readonly location: ClientLocation;
};

/** What holds for one version of a service, by port and family; null: no such port. */
type Choices = {
  version: number;
  /** Where the waypoint was. */
  location: ClientLocation;
  readonly byPlace: Map<number, UpstreamService | null>;
  /** Likewise of subsets, which are forgotten with the configuration that they are of. */
  bySubset: WeakMap<Subset, Map<number, UpstreamService | null>>;
};

type UpstreamsContext = {
  readonly self: WaypointSelf;
  readonly mesh: MeshState;
  readonly effects: WaypointEffects;
  readonly counters: Counters;
  readonly state: WaypointState;
};

/** Everything this waypoint can send to. What it holds lies in slots of the waypoint's state, which says what leaves. */
export class Upstreams {
  readonly #context: UpstreamsContext;
  readonly #location: () => ClientLocation;
  readonly #choices: KeptSlot<ServiceState, Choices>;
  /** Connections by the principal they serve ('' for none), and the TLS that is asked for: identities never share one (W8). */
  readonly #pools: KeptSlot<UpstreamEndpoint, Map<string, ConnectionPool>>;

  constructor(context: UpstreamsContext) {
    this.#context = context;
    this.#location = locationIn(context.self, context.mesh, context.effects.clock);
    const { perService, perEndpoint } = context.state;
    this.#choices = perService.keep({
      make: ({ version }) => ({ version, location: this.#location(), byPlace: new Map(), bySubset: new WeakMap() }),
    });
    this.#pools = perEndpoint.keep({
      make: () => new Map(),
      // Connections to an endpoint that is gone close once their requests are done.
      drop: (pools) => {
        for (const pool of pools.values()) pool.retire();
      },
      inUse: (pools) => pools.size > 0,
    });
  }

  /**
   * Null when the service, or that port of it, does not exist. Endpoints of `family` if there are any, else of the other;
   * of `subset` only, unless it is null.
   */
  service(key: ServiceKey, port: number, family: Family, subset: Subset | null = null): UpstreamService | null {
    const service = this.#context.state.service(key);
    if (service === null) return null;
    const choices = this.#choices.of(service);
    // Found out when it is needed: a storm of changes costs nothing until the next request.
    const location = this.#location();
    if (choices.version !== service.version || choices.location !== location) {
      choices.version = service.version;
      choices.location = location;
      choices.byPlace.clear();
      choices.bySubset = new WeakMap();
    }
    const byPlace = subset === null ? choices.byPlace : ofSubset(choices, subset);
    const place = port * 8 + family;
    const known = byPlace.get(place);
    if (known !== undefined) return known;
    const found = this.#resolve(key, port, family, subset);
    byPlace.set(place, found);
    return found;
  }

  /** One port of a workload, dialled as such. */
  workload(workload: Workload, ip: IpAddress, port: number): UpstreamEndpoint {
    const { mesh, state } = this.#context;
    return state.endpoint(mesh.workload(workload.uid) ?? workload, ip, port);
  }

  /** The connections to an endpoint that serve `client`'s identity, and none that were opened with other TLS than is asked for; null: without. */
  pool(endpoint: UpstreamEndpoint, principal: string | null, client: ClientInfo, tls: DistinctTls | null): ConnectionPool {
    const key = tls === null ? (principal ?? '') : `${principal ?? ''} ${tls.id}`;
    const pools = this.#pools.of(endpoint);
    const known = pools.get(key);
    if (known !== undefined) return known;
    const { self, effects, counters } = this.#context;
    const pool = new ConnectionPool({
      clock: effects.clock,
      http2: effects.http2,
      mishaps: effects.mishaps,
      counters,
      dial: (version, timeoutMs) => dial(self, effects, endpoint, client, { timeoutMs, tls: tls?.wanted, version }),
    });
    // A request that chose the endpoint before it left may still use it; nobody would sweep what stays behind.
    if (endpoint.gone) pool.retire();
    else pools.set(key, pool);
    return pool;
  }

  /** HTTP connections that are open to these endpoints, or being opened. */
  openConnections(endpoints: readonly UpstreamEndpoint[]): number {
    let open = 0;
    for (const endpoint of endpoints) for (const pool of this.#pools.peek(endpoint)?.values() ?? []) open += pool.open;
    return open;
  }

  /** The connections by which the waypoint asks an endpoint by itself, and for no client. */
  ownPool(endpoint: UpstreamEndpoint): ConnectionPool {
    const { self, mesh } = this.#context;
    return this.pool(endpoint, formatIdentity(self.identity), ownClient(self, mesh), null);
  }

  /** Pools that hold or held connections. */
  get pools(): number {
    let count = 0;
    for (const endpoint of this.#context.state.endpoints()) count += this.#pools.peek(endpoint)?.size ?? 0;
    return count;
  }

  /** What the mesh says of a service. */
  known(key: ServiceKey): Service | null {
    return this.#context.mesh.service(key);
  }

  /** Where connections to a port of a service go, by its routes. */
  shares(place: ServicePlace, clientNamespace: string): Share[] {
    return sharesOf(this.#context.mesh, place, clientNamespace);
  }

  /** Closes connections that were idle too long, and lets go of endpoints that nothing leads to. */
  sweep(): void {
    const { state } = this.#context;
    for (const endpoint of state.endpoints()) {
      const pools = this.#pools.peek(endpoint);
      for (const [principal, pool] of pools ?? []) if (pool.sweep()) pools?.delete(principal);
    }
    state.forgetIdle();
  }

  #resolve(key: ServiceKey, port: number, family: Family, subset: Subset | null): UpstreamService | null {
    const service = this.#context.mesh.service(key);
    const declared = service?.ports.find((candidate) => candidate.servicePort === port);
    if (service === null || declared === undefined) return null;
    let usable = this.#usable(service, port, family, subset);
    if (usable.length === 0) usable = this.#usable(service, port, family === 4 ? 6 : 4, subset);
    const { loadBalancing } = service;
    const location = this.#location();
    const preferred = preferredEndpoints(usable, service, location);
    const set = this.#setOf(preferred, service);
    // Where strict, nobody is sent elsewhere, whatever else is said.
    const isStrict = loadBalancing?.mode === 'strict';
    const everywhere = isStrict || preferred.length === usable.length ? set : this.#setOf(usable, service);
    const preference = loadBalancing?.mode === 'failover' ? loadBalancing.routingPreference : [];
    return { appProtocol: declared.appProtocol, set, everywhere, preference, location };
  }

  #setOf(found: readonly Endpoint[], service: Service): EndpointSet<UpstreamEndpoint> {
    const endpoints = found.map(({ workload, ip, port: target, weight }) => {
      const endpoint = this.#context.state.endpoint(workload, ip, target, service);
      // The endpoint may be known from before with another weight; its load and connections stay.
      endpoint.capacity = weight;
      return endpoint;
    });
    return endpointSet(endpoints);
  }

  #usable(service: Service, port: number, family: Family, subset: Subset | null): Endpoint[] {
    return usableEndpoints(this.#context.mesh, service, port, family, 'tcp', subset?.endpoints ?? null);
  }
}

function ofSubset({ bySubset }: Choices, subset: Subset): Map<number, UpstreamService | null> {
  const known = bySubset.get(subset);
  if (known !== undefined) return known;
  const made = new Map<number, UpstreamService | null>();
  bySubset.set(subset, made);
  return made;
}

/** The address family to prefer for a client that dialled `address`. */
export function familyFor(address: IpAddress | null): Family {
  return address === null ? 4 : familyOf(address);
}
