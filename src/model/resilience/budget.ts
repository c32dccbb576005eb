import type { RetryBudget } from '#model/waypoint/destination-settings.ts';

/** Parts of an interval that are forgotten at a time. Fixed by what it means to be exact: a tenth of it. */
const SLICES = 10;

/** Requests and retries of the interval that has just passed, to a tenth of it. */
export class RetryLedger {
  readonly #requests = new Float64Array(SLICES);
  readonly #retries = new Float64Array(SLICES);
  /** The slice written last, counted from the clock's beginning. */
  #last = 0;
  #sliceMs = 1;
  #requestSum = 0;
  #retrySum = 0;

  /** A request came that was not sent before. */
  request(nowMs: number, intervalMs: number): void {
    const at = this.#advance(nowMs, intervalMs);
    this.#requests[at] = (this.#requests[at] ?? 0) + 1;
    this.#requestSum++;
  }

  /** One is sent again. */
  retry(nowMs: number, intervalMs: number): void {
    const at = this.#advance(nowMs, intervalMs);
    this.#retries[at] = (this.#retries[at] ?? 0) + 1;
    this.#retrySum++;
  }

  /** Of the interval that ends now. */
  counts(nowMs: number, intervalMs: number): { requests: number; retries: number } {
    this.#advance(nowMs, intervalMs);
    return { requests: this.#requestSum, retries: this.#retrySum };
  }

  /** Forgets what is older than the interval; one of another length begins anew. */
  #advance(nowMs: number, intervalMs: number): number {
    const sliceMs = intervalMs / SLICES;
    const slice = Math.floor(nowMs / sliceMs);
    if (sliceMs !== this.#sliceMs || slice - this.#last >= SLICES) {
      this.#requests.fill(0);
      this.#retries.fill(0);
      this.#requestSum = 0;
      this.#retrySum = 0;
      this.#sliceMs = sliceMs;
    } else {
      for (let old = this.#last + 1; old <= slice; old++) {
        const at = old % SLICES;
        this.#requestSum -= this.#requests[at] ?? 0;
        this.#retrySum -= this.#retries[at] ?? 0;
        this.#requests[at] = 0;
        this.#retries[at] = 0;
      }
    }
    this.#last = slice;
    return slice % SLICES;
  }
}

/** What is under way when a request would be sent again. */
export type BudgetFacts = {
  /** Requests under way, those that wait for a connection included. */
  readonly active: number;
  /** Of those, sent again. */
  readonly activeRetries: number;
  readonly ledger: RetryLedger;
  readonly nowMs: number;
};

/** Whether one more may be sent again. What it protects is an upstream that fails: retries must not be what keeps it down. */
export function fitsBudget({ percent, of }: RetryBudget, facts: BudgetFacts): boolean {
  if (of.kind === 'active') {
    return facts.activeRetries < Math.max(of.minConcurrency, Math.floor((facts.active * percent) / 100));
  }
  const { requests, retries } = facts.ledger.counts(facts.nowMs, of.intervalMs);
  const least = (of.minPerSecond * of.intervalMs) / 1_000;
  return retries + 1 <= Math.max(least, (requests * percent) / 100);
}
