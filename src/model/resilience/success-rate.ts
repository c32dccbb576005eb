import type { Observation } from '#model/resilience/outlier.ts';
import type { SuccessRateDetection } from '#model/waypoint/destination-settings.ts';

/** What was seen of one endpoint in an interval. */
type Tally = { requests: number; failures: number };

/**
 * Which of the endpoints fail more often than the others, by their place in the list: those below the mean by so many standard
 * deviations, as in Envoy. Where all do equally badly there is none, as none of them is the reason.
 */
export function failingOthers(tallies: readonly Tally[], policy: SuccessRateDetection): number[] {
  const rates = tallies.map(({ requests, failures }) => (requests >= policy.minRequests ? 1 - failures / requests : null));
  const known = rates.filter((rate) => rate !== null);
  if (known.length === 0 || known.length < policy.minEndpoints) return [];
  const mean = known.reduce((sum, rate) => sum + rate, 0) / known.length;
  const variance = known.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / known.length;
  const threshold = mean - policy.deviations * Math.sqrt(variance);
  // What rounding makes of equal rates is no difference.
  return rates.flatMap((rate, at) => (rate !== null && rate < threshold - 1e-9 ? [at] : []));
}

/** How the requests of each endpoint ended since the last look; bounded by the endpoints that there are. */
export class SuccessRates<Endpoint extends { readonly gone: boolean }> {
  readonly #tallies = new Map<Endpoint, Tally>();

  count(endpoint: Endpoint, { status }: Observation): void {
    const tally = this.#tallies.get(endpoint) ?? { requests: 0, failures: 0 };
    if (tally.requests === 0) this.#tallies.set(endpoint, tally);
    tally.requests++;
    if (status >= 500) tally.failures++;
  }

  /** Those that fail more often than the others, of those that are still there; what was seen is forgotten. */
  takeFailing(rule: SuccessRateDetection): Endpoint[] {
    const all = [...this.#tallies].filter(([{ gone }]) => !gone);
    this.#tallies.clear();
    const tallies = all.map(([, tally]) => tally);
    return failingOthers(tallies, rule).flatMap((at) => all[at]?.[0] ?? []);
  }

  clear(): void {
    this.#tallies.clear();
  }
}
