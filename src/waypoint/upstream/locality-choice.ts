import { type EndpointSet, endpointSet } from '#model/balancing/least-request.ts';
import { groupsOf, type LocalityGroups, loadsByShare, loadsInOrder } from '#model/balancing/localities.ts';
import type { Locality } from '#model/waypoint/destination-settings.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';
import type { UpstreamService } from '#waypoint/upstream/upstreams.ts';

type Endpoints = EndpointSet<UpstreamEndpoint>;

/** Of which group one is taken: those that get anything, nearest first, with the running sums of their parts and their places among all groups. */
type Loads = { readonly sets: readonly Endpoints[]; readonly below: readonly number[]; readonly places: readonly number[] };

/** Endpoints of a service as a configuration groups them. */
type Grouped = {
  readonly service: UpstreamService;
  readonly by: Locality;
  /** Null: nobody is preferred. */
  readonly groups: LocalityGroups<UpstreamEndpoint> | null;
  /** Each group with all of its endpoints, whether they fail or not. */
  readonly whole: readonly Endpoints[];
};

/** Chooses among the localities of one cluster. What takes all endpoints to work out is kept until they, or who of them is left out, change. */
export class LocalityChoice {
  /** Until the mesh or the configuration changes. */
  #grouped: Grouped | null = null;
  /** Of sets that were handed out. */
  readonly #places = new WeakMap<Endpoints, number>();
  /** Until an endpoint is left out or comes back. */
  #loads: { left: Endpoints; minHealthPercent: number; loads: Loads } | null = null;

  /**
   * The endpoints of one group. `left`: those that are not left out for their failures; `draw`: between 0 and 1, asked for where there is more
   * than one group to choose from. Null: nothing is preferred.
   */
  choose(
    service: UpstreamService,
    by: Locality,
    left: Endpoints,
    minHealthPercent: number,
    draw: () => number,
  ): Endpoints | null {
    if (this.#grouped?.service !== service || this.#grouped.by !== by) {
      const groups = groupsOf(by, service.everywhere.endpoints, service.location, service.preference);
      this.#grouped = { service, by, groups, whole: membersOf(groups).map((members) => endpointSet(members)) };
      this.#loads = null;
    }
    const { groups, whole } = this.#grouped;
    if (groups === null) return null;
    if (this.#loads?.left !== left || this.#loads.minHealthPercent !== minHealthPercent) {
      const loads = loadsOf(groups, whole, service.everywhere, left, minHealthPercent);
      for (const [at, set] of loads.sets.entries()) this.#places.set(set, loads.places[at] ?? 0);
      this.#loads = { left, minHealthPercent, loads };
    }
    const { sets, below } = this.#loads.loads;
    // Mostly the nearest can take all of it: then nothing is drawn.
    if (sets.length <= 1) return sets[0] ?? NOBODY;
    const drawn = draw();
    // Sums of fractions may end a hair below 1: the last one has the rest.
    const at = below.findIndex((bound) => drawn < bound);
    return sets[at < 0 ? sets.length - 1 : at] ?? NOBODY;
  }

  /** The number of a group that was chosen, so that what balancers remember of it is not mixed with that of others. */
  placeOf(set: Endpoints): number {
    return this.#places.get(set) ?? 0;
  }
}

/** Where no group gets anything: 503, as where there are no endpoints. */
const NOBODY: Endpoints = endpointSet<UpstreamEndpoint>([]);

/** Of each group, in the order of their places. */
function membersOf(groups: LocalityGroups<UpstreamEndpoint> | null): readonly (readonly UpstreamEndpoint[])[] {
  if (groups === null) return [];
  return groups.kind === 'in-order' ? groups.groups : groups.groups.map(({ endpoints }) => endpoints);
}

/** What each group gets, by how many of its endpoints are left. */
function loadsOf(
  groups: LocalityGroups<UpstreamEndpoint>,
  whole: readonly Endpoints[],
  all: Endpoints,
  left: Endpoints,
  minHealthPercent: number,
): Loads {
  const serving = new Set(left.endpoints);
  // Whose endpoints all serve keeps its set: what balancers remember is found by it.
  const healthy = whole.map((set) =>
    left === all || set.endpoints.every((one) => serving.has(one))
      ? set
      : endpointSet(set.endpoints.filter((one) => serving.has(one))),
  );
  const health = whole.map((set, at) => ({ total: set.endpoints.length, healthy: healthy[at]?.endpoints.length ?? 0 }));
  const loads =
    groups.kind === 'in-order'
      ? loadsInOrder(health, minHealthPercent)
      : loadsByShare(
          health.map((one, at) => ({ ...one, weight: groups.groups[at]?.weight ?? 0 })),
          minHealthPercent,
        );
  const sets: Endpoints[] = [];
  const below: number[] = [];
  const places: number[] = [];
  let sum = 0;
  for (const [at, { load, panics }] of loads.entries()) {
    // A group that panics trusts nothing that was seen of its endpoints.
    const set = panics ? whole[at] : healthy[at];
    if (load <= 0 || set === undefined) continue;
    sets.push(set);
    sum += load;
    below.push(sum);
    places.push(at);
  }
  return { sets, below, places };
}
