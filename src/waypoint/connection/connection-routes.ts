import { pickWeighted } from '#model/balancing/endpoints.ts';
import type { Random } from '#model/effects/clock.ts';
import type { Identity } from '#model/identity/identity.ts';
import { type ServiceKey, serviceKeyOf } from '#model/mesh/service.ts';
import { type ConnectionTable, compileConnectionRoutes } from '#model/routing/connection-routes.ts';
import { compileSubsets, type Subset, type SubsetLookup } from '#model/routing/subsets.ts';
import type { Destination } from '#waypoint/connection/destination.ts';
import type { KeptSlot } from '#waypoint/state/slots.ts';
import type { BoundService, Snapshot } from '#waypoint/state/snapshot.ts';
import type { WaypointState } from '#waypoint/state/waypoint-state.ts';
import type { Upstreams } from '#waypoint/upstream/upstreams.ts';

/** Where one connection goes. */
export type ConnectionShare = { readonly key: ServiceKey; readonly port: number; readonly subset: Subset | null };

type ServiceDestination = Extract<Destination, { kind: 'service' }>;

/** Finds where connections go that are not HTTP (config-api 1.14, 4.4). */
export class ConnectionRoutes {
  readonly #upstreams: Upstreams;
  readonly #random: Random;
  readonly #compiled: KeptSlot<BoundService, { readonly table: ConnectionTable; readonly subsets: SubsetLookup }>;

  constructor(state: WaypointState, upstreams: Upstreams, random: Random) {
    this.#upstreams = upstreams;
    this.#random = random;
    this.#compiled = state.bindings.keep({
      make: ({ config: { connections = [], subsets = [] }, problem }) => ({
        table: compileConnectionRoutes(connections, problem),
        subsets: compileSubsets(subsets),
      }),
    });
  }

  /** Whether the name that a client asks for has to be read before it is clear where its connection goes. */
  asksForName(destination: Destination, { services }: Snapshot): boolean {
    if (destination.kind === 'workload') return false;
    const bound = services.get(destination.key);
    return bound !== undefined && this.#compiled.of(bound).table.asksForName(destination.port, destination.appProtocol === 'tcp');
  }

  /** Null: to nobody. */
  shareOf(
    { key, port, address }: ServiceDestination,
    bound: BoundService | null,
    identity: Identity | null,
    serverName: string | null,
  ): ConnectionShare | null {
    const clientNamespace = identity?.namespace ?? '';
    const compiled = bound === null ? null : this.#compiled.of(bound);
    const backends = compiled?.table.backendsOf({ port, address, serverName, clientNamespace }) ?? null;
    if (compiled === null || backends === null) return this.#meshShare(key, port, clientNamespace);
    const drawn = pickWeighted(backends, this.#random);
    if (drawn === null || drawn.service === null) return null;
    const subset = drawn.subset === undefined ? null : compiled.subsets(drawn.service, drawn.subset);
    return { key: drawn.service, port: drawn.port, subset };
  }

  /** Where a route of the mesh leads this connection, which nodes follow too, or the service itself. */
  #meshShare(key: ServiceKey, port: number, clientNamespace: string): ConnectionShare | null {
    const service = this.#upstreams.known(key);
    if (service === null) return null;
    const drawn = pickWeighted(this.#upstreams.shares({ service, port, transport: 'tcp' }, clientNamespace), this.#random);
    return drawn?.service ? { key: serviceKeyOf(drawn.service), port: drawn.port, subset: null } : null;
  }
}
