import type { EndpointSet, LoadedEndpoint } from './least-request.ts';

/**
 * Takes each endpoint in its turn, as often as its weight says and as evenly as can be: each turn every endpoint gains its
 * weight, who has most is taken and loses the sum of all (W47). Where all weigh the same it is a plain rotation.
 */
export class RoundRobin<E extends LoadedEndpoint> {
  #set: EndpointSet<E> | null = null;
  #gained: number[] = [];
  #turn = 0;
  #isEven = true;

  /** `start`: between 0 and 1, where to begin when the endpoints have changed, so that many proxies do not begin alike. */
  pick(set: EndpointSet<E>, start: () => number): E | null {
    const { endpoints, weights } = set;
    if (endpoints.length <= 1) return endpoints[0] ?? null;
    if (this.#set !== set) this.#begin(set, start());
    if (this.#isEven) {
      this.#turn = (this.#turn + 1) % endpoints.length;
      return endpoints[this.#turn] ?? null;
    }
    let best = 0;
    for (const [at, weight] of weights.entries()) {
      this.#gained[at] = (this.#gained[at] ?? 0) + weight;
      if ((this.#gained[at] ?? 0) > (this.#gained[best] ?? 0)) best = at;
    }
    this.#gained[best] = (this.#gained[best] ?? 0) - set.total;
    return endpoints[best] ?? null;
  }

  /** What an endpoint has gained goes with it: a set whose weights change all the time must not begin anew each time. */
  #begin(set: EndpointSet<E>, start: number): void {
    const before = new Map(this.#set?.endpoints.map((endpoint, at) => [endpoint, this.#gained[at] ?? 0]));
    const isKnown = set.endpoints.some((endpoint) => before.has(endpoint));
    this.#gained = set.endpoints.map((endpoint, at) => (isKnown ? (before.get(endpoint) ?? 0) : start * (set.weights[at] ?? 0)));
    this.#isEven = set.weights.every((weight) => weight === set.weights[0]);
    if (!isKnown) this.#turn = Math.floor(start * set.endpoints.length);
    this.#set = set;
  }
}
