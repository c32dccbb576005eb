import type { Random } from '#model/effects/clock.ts';

/** What the choice needs to know of an endpoint. */
export type LoadedEndpoint = {
  /** Relative weight; below 1 it is never chosen. */
  readonly capacity: number;
  /** Requests under way. */
  readonly active: number;
};

/** Endpoints with their running capacity sums. */
export type EndpointSet<E extends LoadedEndpoint> = {
  readonly endpoints: readonly E[];
  readonly below: readonly number[];
  readonly total: number;
};

/** Prepares a choice that is then made per request. */
export function endpointSet<E extends LoadedEndpoint>(endpoints: readonly E[]): EndpointSet<E> {
  const usable = endpoints.filter((endpoint) => endpoint.capacity >= 1);
  let total = 0;
  const below = usable.map((endpoint) => (total += endpoint.capacity));
  return { endpoints: usable, below, total };
}

/**
 * Picks the less loaded of two endpoints drawn at random with replacement, in proportion to capacity;
 * load is requests under way per unit of capacity. With equal capacities this is Envoy's LEAST_REQUEST
 * (docs/rules/waypoint.md, W46). Null when no endpoint has capacity.
 */
export function pickLeastLoaded<E extends LoadedEndpoint>(set: EndpointSet<E>, random: Random): E | null {
  const [only] = set.endpoints;
  if (set.endpoints.length <= 1) return only ?? null;
  const first = drawn(set, random());
  const second = drawn(set, random());
  if (first === undefined || second === undefined) return first ?? second ?? null;
  return second.active * first.capacity < first.active * second.capacity ? second : first;
}

function drawn<E extends LoadedEndpoint>({ endpoints, below, total }: EndpointSet<E>, random: number): E | undefined {
  const draw = random * total;
  let low = 0;
  let high = below.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (draw < (below[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return endpoints[low];
}
