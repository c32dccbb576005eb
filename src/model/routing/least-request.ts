import type { Random } from '#model/effects/clock.ts';

/** What the choice needs to know of an endpoint. */
export type LoadedEndpoint = {
  /** Relative weight, at least 1; below that it is never chosen. */
  readonly capacity: number;
  /** Requests under way. */
  readonly active: number;
};

/**
 * Picks the less loaded of two endpoints drawn at random with replacement, in proportion to capacity;
 * load is requests under way per unit of capacity. With equal capacities this is Envoy's LEAST_REQUEST
 * (waypoint-l7 section 5, W46). Null when no endpoint has capacity.
 */
export function pickLeastLoaded<E extends LoadedEndpoint>(endpoints: readonly E[], random: Random): E | null {
  const [only] = endpoints;
  if (endpoints.length === 1 && only !== undefined) return only.capacity >= 1 ? only : null;
  const total = endpoints.reduce((sum, endpoint) => sum + Math.max(0, endpoint.capacity), 0);
  const first = drawByCapacity(endpoints, total * random());
  const second = drawByCapacity(endpoints, total * random());
  if (first === null || second === null) return first;
  return second.active * first.capacity < first.active * second.capacity ? second : first;
}

function drawByCapacity<E extends LoadedEndpoint>(endpoints: readonly E[], draw: number): E | null {
  let left = draw;
  for (const endpoint of endpoints) {
    left -= Math.max(0, endpoint.capacity);
    if (left < 0) return endpoint;
  }
  return null;
}
