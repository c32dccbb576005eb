import type { Cancel, Clock } from '#model/effects/clock.ts';
import { KUBERNETES } from '#model/settings/kubernetes.ts';

/** What a queue needs. `write` never rejects; what it finds not to be needed any more it leaves. */
export type WriteQueueOptions = { write(unit: string): Promise<void>; clock: Clock };

/**
 * Writes units in order, those first that somebody waits for: so many a second over all, some together, and each unit not more than
 * once in a while. One that is added again while it waits is written once.
 */
export class WriteQueue {
  readonly #options: WriteQueueOptions;
  readonly #urgent = new Set<string>();
  readonly #others = new Set<string>();
  readonly #writing = new Set<string>();
  /** When a unit was last written; forgotten once it may be written again. */
  readonly #rested = new Map<string, number>();
  #tokens: number = KUBERNETES.statusBurst;
  #filledMs: number;
  #cancel: Cancel | null = null;

  constructor(options: WriteQueueOptions) {
    this.#options = options;
    this.#filledMs = options.clock.monotonicMs();
  }

  /** So many wait. */
  get size(): number {
    return this.#urgent.size + this.#others.size;
  }

  add(unit: string, urgent: boolean): void {
    if (urgent) {
      this.#others.delete(unit);
      this.#urgent.add(unit);
    } else if (!this.#urgent.has(unit)) {
      this.#others.add(unit);
    }
    this.#plan(0);
  }

  /** It need not be written any more. */
  drop(unit: string): void {
    this.#urgent.delete(unit);
    this.#others.delete(unit);
  }

  /** Nothing waits any more. */
  clear(): void {
    this.#urgent.clear();
    this.#others.clear();
    this.#cancel?.();
    this.#cancel = null;
  }

  #plan(waitMs: number): void {
    this.#cancel ??= this.#options.clock.after(waitMs, () => {
      this.#cancel = null;
      this.#go();
    });
  }

  #go(): void {
    const nowMs = this.#options.clock.monotonicMs();
    this.#refill(nowMs);
    for (const [unit, atMs] of this.#rested) {
      if (nowMs - atMs < KUBERNETES.statusAgainMs) break; // in order of time
      this.#rested.delete(unit);
    }
    while (this.#tokens >= 1 && this.#writing.size < KUBERNETES.statusAtOnce) {
      const unit = this.#next();
      if (unit === null) break;
      this.#tokens--;
      this.#begin(unit);
    }
    // When there is a place, `#begin` goes on; here it is time that is waited for.
    if (this.size > 0 && this.#writing.size < KUBERNETES.statusAtOnce) this.#plan(1_000 / KUBERNETES.statusPerSecond);
  }

  #refill(nowMs: number): void {
    const more = ((nowMs - this.#filledMs) * KUBERNETES.statusPerSecond) / 1_000;
    this.#tokens = Math.min(KUBERNETES.statusBurst, this.#tokens + more);
    this.#filledMs = nowMs;
  }

  #next(): string | null {
    for (const waiting of [this.#urgent, this.#others])
      for (const unit of waiting) {
        if (this.#writing.has(unit) || this.#rested.has(unit)) continue;
        waiting.delete(unit);
        return unit;
      }
    return null;
  }

  #begin(unit: string): void {
    this.#writing.add(unit);
    const done = (): void => {
      this.#writing.delete(unit);
      this.#rested.delete(unit);
      this.#rested.set(unit, this.#options.clock.monotonicMs());
      if (this.size > 0) this.#plan(0);
    };
    this.#options.write(unit).then(done, done);
  }
}
