import type { Random } from '#model/effects/clock.ts';

/** What the choice needs to know of an endpoint. */
export type LoadedEndpoint = {
  /** Relative weight; below 1 it is never chosen. */
  readonly capacity: number;
  /** Requests under way. */
  readonly active: number;
};

/** Endpoints with their weights, and the running sums of those. */
export type EndpointSet<E extends LoadedEndpoint> = {
  readonly endpoints: readonly E[];
  readonly weights: readonly number[];
  readonly below: readonly number[];
  readonly total: number;
};

/** Prepares a choice that is then made per request. `weightOf`: of those that can be chosen at all, what the capacity is now. */
export function endpointSet<E extends LoadedEndpoint>(
  endpoints: readonly E[],
  weightOf: (endpoint: E) => number = ({ capacity }) => capacity,
): EndpointSet<E> {
  const usable = endpoints.filter((endpoint) => endpoint.capacity >= 1);
  let total = 0;
  const weights = usable.map(weightOf);
  const below = weights.map((weight) => (total += weight));
  return { endpoints: usable, weights, below, total };
}

/**
 * Picks the less loaded of two endpoints drawn at random with replacement, in proportion to their weights;
 * load is requests under way per unit of weight. With equal weights this is Envoy's LEAST_REQUEST
 * (docs/rules/waypoint.md, W46). Null when no endpoint has capacity.
 */
export function pickLeastLoaded<E extends LoadedEndpoint>(set: EndpointSet<E>, random: Random): E | null {
  const { endpoints, weights } = set;
  const [only] = endpoints;
  if (endpoints.length <= 1) return only ?? null;
  const at = drawn(set, random());
  const other = drawn(set, random());
  const [first, second] = [endpoints[at], endpoints[other]];
  if (first === undefined || second === undefined) return first ?? second ?? null;
  return second.active * (weights[at] ?? 1) < first.active * (weights[other] ?? 1) ? second : first;
}

/** Any of them, in proportion to their weights; null when there is none. */
export function pickRandom<E extends LoadedEndpoint>(set: EndpointSet<E>, random: Random): E | null {
  return set.endpoints[drawn(set, random())] ?? null;
}

/** The index of one. */
function drawn<E extends LoadedEndpoint>({ below, total }: EndpointSet<E>, random: number): number {
  const draw = random * total;
  let low = 0;
  let high = below.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (draw < (below[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}
