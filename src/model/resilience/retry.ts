import type { Cancel, Clock, Random } from '#model/effects/clock.ts';

/** How waits grow: `firstMs` after the first failure, doubling with each, never more than `maxMs`. */
export type Backoff = { readonly firstMs: number; readonly maxMs: number };

/** Waits vary by this share in both directions, so that those who failed together do not come back together. */
const SPREAD = 0.2;
/** In place of chance where there is only one who waits, and nobody to be kept apart from. */
export const UNSPREAD: Random = () => 0.5;

/** Milliseconds to wait after `failures` in a row (at least 1): the only place where such a wait is computed. */
export function backoffMs(failures: number, { firstMs, maxMs }: Backoff, random: Random): number {
  const middleMs = firstMs * 2 ** Math.min(failures - 1, 30);
  return Math.min(maxMs, Math.round(middleMs * (1 - SPREAD + 2 * SPREAD * random())));
}

/** How long a request waits before it is sent again: `leastMs`, and up to `growthMs` more after the first failure, doubling. */
export type RetryPause = { readonly leastMs: number; readonly growthMs: number; readonly maxMs: number };

/** Milliseconds before the try that follows `failures` (at least 1); spread evenly, as Envoy does (W37). */
export function retryPauseMs(failures: number, { leastMs, growthMs, maxMs }: RetryPause, random: Random): number {
  const most = Math.min(maxMs - leastMs, growthMs * (2 ** Math.min(failures, 30) - 1));
  return Math.round(leastMs + random() * most);
}

/** What waiting needs. */
export type RetryEffects = { readonly clock: Clock; readonly random: Random };

/**
 * What has failed is tried again, later and later, for as long as it fails and is not closed. One timer: whatever is planned
 * replaces what was, so that attempts never multiply. Each attempt needs a deadline of its own: one that hangs is not tried again.
 */
export class Retry {
  readonly #effects: RetryEffects;
  readonly #backoff: Backoff;
  readonly #again: () => void;
  #failures = 0;
  #cancel: Cancel = () => {};
  #closed = false;

  /** `again` begins the next attempt. */
  constructor(effects: RetryEffects, backoff: Backoff, again: () => void) {
    this.#effects = effects;
    this.#backoff = backoff;
    this.#again = again;
  }

  /** An attempt begins, whoever asked for it: what was planned is not needed any more. */
  begun(): void {
    this.#cancel();
  }

  /** An attempt failed; returns the milliseconds until the next. */
  failed(): number {
    return this.after(backoffMs(++this.#failures, this.#backoff, this.#effects.random));
  }

  /** Plans the next attempt for a time that the answer to the last one named. */
  after(delayMs: number): number {
    this.#cancel();
    if (!this.#closed) this.#cancel = this.#effects.clock.after(delayMs, this.#again);
    return delayMs;
  }

  /** It holds: the next failure is a first one again. */
  succeeded(): void {
    this.#failures = 0;
    this.#cancel();
  }

  /** Tries no more. */
  close(): void {
    this.#closed = true;
    this.#cancel();
  }
}
