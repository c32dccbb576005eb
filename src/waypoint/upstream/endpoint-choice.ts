import { formatAddress } from '#model/address/ip.ts';
import { type HashTable, maglevOf, nextHash, ringOf } from '#model/balancing/consistent-hash.ts';
import { type EndpointSet, pickLeastLoaded, pickRandom } from '#model/balancing/least-request.ts';
import { RoundRobin } from '#model/balancing/round-robin.ts';
import { Warming } from '#model/balancing/warmup.ts';
import type { Random } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Balancer, Warmup } from '#model/waypoint/destination-settings.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';

type Endpoints = EndpointSet<UpstreamEndpoint>;

/** What one choice depends on, beside the endpoints. */
export type ChoiceFacts = {
  /** Of what the balancer asks to be kept together; null: the request has nothing of it. */
  readonly hash: number | null;
  /** How often an endpoint was chosen for the same request already. */
  readonly draw: number;
  readonly random: Random;
  readonly nowMs: number;
};

/** Chooses endpoints of one cluster as its balancer says, and remembers what that takes. */
export class EndpointChoice {
  readonly #turns = new RoundRobin<UpstreamEndpoint>();
  /** Made when they are first needed, of the endpoints as they are then. */
  #tables = new WeakMap<Endpoints, { readonly of: Balancer; readonly table: HashTable }>();
  readonly #warming = new Warming<UpstreamEndpoint>();

  /** Null when there is none. */
  pick(set: Endpoints, balancer: Balancer, facts: ChoiceFacts): UpstreamEndpoint | null {
    const { hash, draw, random, nowMs } = facts;
    const warmed = (warmup: Warmup | null): Endpoints => (warmup === null ? set : this.#warming.of(set, warmup, nowMs));
    switch (balancer.kind) {
      case 'random':
        return pickRandom(set, random);
      case 'round-robin':
        return this.#turns.pick(warmed(balancer.warmup), random);
      case 'least-request':
        return pickLeastLoaded(warmed(balancer.warmup), random);
      case 'hash': {
        if (hash === null) return pickRandom(set, random);
        let wanted = hash;
        // Where the endpoint of the key could not be reached, a further try has to go to another one.
        for (let further = 0; further < draw; further++) wanted = nextHash(wanted);
        return set.endpoints[this.#tableOf(set, balancer).at(wanted)] ?? null;
      }
      default:
        return balancer satisfies never;
    }
  }

  #tableOf(set: Endpoints, balancer: Balancer & { kind: 'hash' }): HashTable {
    const known = this.#tables.get(set);
    if (known?.of === balancer) return known.table;
    const { kind, size } = balancer.table;
    const table = kind === 'ring' ? ringOf(set, size, nameOf) : maglevOf(set, Math.min(size, WAYPOINT.hashPlacesMax), nameOf);
    this.#tables.set(set, { of: balancer, table });
    return table;
  }
}

/** The same in every replica of a waypoint, and for as long as the endpoint is there. */
function nameOf({ ip, port }: UpstreamEndpoint): string {
  return formatAddress(ip, port);
}
