import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { Warmup } from '#model/waypoint/destination-settings.ts';
import { type EndpointSet, endpointSet, type LoadedEndpoint } from './least-request.ts';

/** Fixed by Envoy: an endpoint counts as that old at least. */
const LEAST_AGE_MS = 1_000;

/** What of its weight an endpoint has that came so long ago (W53). */
export function warmth(ageMs: number, { durationMs, minPercent, aggression }: Warmup): number {
  if (ageMs >= durationMs) return 1;
  const grown = (Math.max(ageMs, LEAST_AGE_MS) / durationMs) ** (1 / aggression);
  return Math.min(1, Math.max(minPercent / 100, grown));
}

/** Weights of endpoints that grow from when each was first seen. Those that are seen first are alike, so that a start changes nothing. */
export class Warming<E extends LoadedEndpoint & object> {
  readonly #joinedMs = new WeakMap<E, number>();
  #seen: EndpointSet<E> | null = null;
  #last: { readonly of: EndpointSet<E>; readonly set: EndpointSet<E>; readonly untilMs: number } | null = null;

  /** The endpoints with the weights that they have now; the same ones for a while, or each request would pay for all of them. */
  of(set: EndpointSet<E>, warmup: Warmup, nowMs: number): EndpointSet<E> {
    this.#greet(set, nowMs);
    if (this.#last?.of === set && nowMs < this.#last.untilMs) return this.#last.set;
    const warmths = set.endpoints.map((endpoint) => warmth(nowMs - (this.#joinedMs.get(endpoint) ?? nowMs), warmup));
    const all = new Set(warmths);
    const weights = new Map(set.endpoints.map((endpoint, at) => [endpoint, endpoint.capacity * (warmths[at] ?? 1)]));
    const warmed = all.size <= 1 ? set : endpointSet(set.endpoints, (endpoint) => weights.get(endpoint) ?? endpoint.capacity);
    const isOver = [...all].every((one) => one === 1);
    this.#last = { of: set, set: warmed, untilMs: isOver ? Number.POSITIVE_INFINITY : nowMs + WAYPOINT.warmupStepMs };
    return warmed;
  }

  #greet(set: EndpointSet<E>, nowMs: number): void {
    if (this.#seen === set) return;
    this.#seen = set;
    for (const endpoint of set.endpoints) if (!this.#joinedMs.has(endpoint)) this.#joinedMs.set(endpoint, nowMs);
  }
}
