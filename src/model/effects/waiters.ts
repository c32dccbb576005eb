import type { Clock } from './clock.ts';

type Waiter = { look: () => boolean; give: () => void };

/** How long one waits, and how many wait at once. */
export type WaitersBounds = { readonly deadlineMs: number; readonly max: number };

/** Connections that wait for knowledge: each is released by check() or by the deadline. Bounded. */
export class Waiters {
  readonly #clock: Clock;
  readonly #bounds: WaitersBounds;
  readonly #waiting = new Set<Waiter>();

  constructor(clock: Clock, bounds: WaitersBounds) {
    this.#clock = clock;
    this.#bounds = bounds;
  }

  /** The first non-null answer of `look`; null after the deadline, or at once when too many wait. */
  until<T>(look: () => T | null): Promise<T | null> {
    const now = look();
    // Too many: refused at once rather than later, so that a flood before the first sync cannot fill the memory.
    if (now !== null || this.#waiting.size >= this.#bounds.max) return Promise.resolve(now);
    return new Promise((resolve) => {
      const finish = (value: T | null): void => {
        this.#waiting.delete(waiter);
        cancel();
        resolve(value);
      };
      const waiter: Waiter = { look: () => look() !== null, give: () => finish(look()) };
      this.#waiting.add(waiter);
      const cancel = this.#clock.after(this.#bounds.deadlineMs, () => finish(null));
    });
  }

  /** Looks again for every waiter; call after each change. */
  check(): void {
    for (const waiter of [...this.#waiting]) if (waiter.look()) waiter.give();
  }
}
