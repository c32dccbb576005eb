import type { Clock } from '#model/effects/clock.ts';

/** Who waits until something is so that is told sooner or later. */
export class Hearing {
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Something was told: everybody looks again. */
  heard(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** What `look` finds, now or once more was told; null: it has found nothing by then. */
  until<Found>(deadlineMs: number, look: () => Found | null): Promise<Found | null> {
    const now = look();
    if (now !== null) return Promise.resolve(now);
    const { promise, resolve } = Promise.withResolvers<Found | null>();
    const end = (found: Found | null): void => {
      this.#waiting.delete(again);
      cancel();
      resolve(found);
    };
    const again = (): void => {
      const found = look();
      if (found !== null) end(found);
    };
    const cancel = this.#clock.after(deadlineMs, () => end(null));
    this.#waiting.add(again);
    return promise;
  }
}
