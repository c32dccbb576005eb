import { type EndpointSet, endpointSet } from '#model/balancing/least-request.ts';
import {
  type EndpointHistory,
  eject,
  isPanic,
  newHistory,
  type Observation,
  type OutlierDetector,
  observe,
  review,
} from '#model/resilience/outlier.ts';
import { SuccessRates } from '#model/resilience/success-rate.ts';
import type { OutlierDetection, SuccessRateDetection } from '#model/waypoint/destination-settings.ts';
import type { UpstreamEndpoint } from '#waypoint/state/kept.ts';

type Endpoints = EndpointSet<UpstreamEndpoint>;

/** What came of an observation: nothing, or an endpoint that fails, which was left out or could not be. */
export type Ejection = {
  readonly endpoint: UpstreamEndpoint;
  readonly detector: OutlierDetector;
  readonly outcome: 'ejected' | 'overflow';
  readonly forMs: number;
};

const NONE: readonly Ejection[] = [];

/** Which endpoints of one cluster are left out for their failures. Who comes back is found out when somebody asks: no timer runs. */
export class Ejections {
  readonly #histories = new Map<UpstreamEndpoint, EndpointHistory>();
  /** When the next look is due; null: there was none yet. */
  #nextMs: number | null = null;
  #ejected = 0;
  /** Of what is compared, since the last look. */
  readonly #rates = new SuccessRates<UpstreamEndpoint>();
  /** Left out by a look, and not told yet. */
  readonly #byRate: Ejection[] = [];
  /** All of them, and what is left of them; anew when one of the two has changed. */
  #all: Endpoints | null = null;
  #left: Endpoints | null = null;

  /** Endpoints that are left out. */
  get ejected(): number {
    return this.#ejected;
  }

  /** Those to choose from. */
  usable(all: Endpoints, policy: OutlierDetection, nowMs: number): Endpoints {
    const left = this.left(all, policy, nowMs);
    const panics = isPanic(policy, all.endpoints.length - left.endpoints.length, all.endpoints.length);
    return panics ? all : left;
  }

  /** Those that are not left out, however few; the same set until one of them leaves or comes back. */
  left(all: Endpoints, policy: OutlierDetection, nowMs: number): Endpoints {
    this.#review(policy, nowMs);
    if (this.#all !== all) {
      this.#all = all;
      this.#left = null;
    }
    if (this.#ejected === 0) return all;
    this.#left ??= endpointSet(all.endpoints.filter((endpoint) => !this.isEjected(endpoint)));
    return this.#left;
  }

  isEjected(endpoint: UpstreamEndpoint): boolean {
    return (this.#histories.get(endpoint)?.ejectedUntilMs ?? null) !== null;
  }

  /** Hears what a try says of its endpoint. */
  observe(endpoint: UpstreamEndpoint, seen: Observation, policy: OutlierDetection, nowMs: number): readonly Ejection[] {
    this.#review(policy, nowMs);
    if (policy.successRate !== undefined) this.#rates.count(endpoint, seen);
    const byRow = this.#observeRow(endpoint, seen, policy, nowMs);
    if (byRow === null && this.#byRate.length === 0) return NONE;
    return [...this.#byRate.splice(0), ...(byRow === null ? [] : [byRow])];
  }

  /** By failures that follow one another. */
  #observeRow(endpoint: UpstreamEndpoint, seen: Observation, policy: OutlierDetection, nowMs: number): Ejection | null {
    const known = this.#histories.get(endpoint);
    // Most endpoints never fail: of those nothing is kept.
    if (known === undefined && seen.kind === 'status' && seen.status < 500) return null;
    const history = known ?? newHistory();
    if (known === undefined && !endpoint.gone) this.#histories.set(endpoint, history);
    const detector = observe(history, seen, policy);
    return detector === null ? null : this.#eject(endpoint, history, detector, policy, nowMs);
  }

  #eject(
    endpoint: UpstreamEndpoint,
    history: EndpointHistory,
    detector: OutlierDetector,
    policy: OutlierDetection,
    nowMs: number,
  ): Ejection | null {
    const endpoints = this.#all?.endpoints.length ?? 1;
    const outcome = eject(history, policy, { ejected: this.#ejected, endpoints, nowMs });
    if (outcome === 'already') return null;
    if (outcome === 'too-many') return { endpoint, detector, outcome: 'overflow', forMs: 0 };
    this.#ejected++;
    this.#left = null;
    return { endpoint, detector, outcome, forMs: (history.ejectedUntilMs ?? nowMs) - nowMs };
  }

  /** Detection is off: nothing that was seen counts any more. */
  clear(): void {
    this.#histories.clear();
    this.#rates.clear();
    this.#byRate.length = 0;
    this.#ejected = 0;
    this.#left = null;
    this.#nextMs = null;
  }

  /** The looks that were due since the last time. */
  #review(policy: OutlierDetection, nowMs: number): void {
    const { intervalMs } = policy;
    const firstMs = this.#nextMs ?? nowMs + intervalMs;
    this.#nextMs = firstMs;
    if (nowMs < firstMs) return;
    const looks = Math.floor((nowMs - firstMs) / intervalMs) + 1;
    this.#nextMs = firstMs + looks * intervalMs;
    for (const [endpoint, history] of this.#histories) {
      const wasEjected = history.ejectedUntilMs !== null;
      if (endpoint.gone) {
        this.#histories.delete(endpoint);
        if (wasEjected) this.#ejected--;
      } else if (review(history, firstMs, looks, intervalMs)) {
        this.#ejected--;
        this.#left = null;
      }
    }
    if (policy.successRate !== undefined) this.#compare(policy.successRate, policy, nowMs);
  }

  /** Leaves out who fails more often than the others did in the interval that is over. */
  #compare(rule: SuccessRateDetection, policy: OutlierDetection, nowMs: number): void {
    for (const endpoint of this.#rates.takeFailing(rule)) {
      const history = this.#histories.get(endpoint) ?? newHistory();
      this.#histories.set(endpoint, history);
      const ejection = this.#eject(endpoint, history, 'success_rate', policy, nowMs);
      if (ejection !== null) this.#byRate.push(ejection);
    }
  }
}
