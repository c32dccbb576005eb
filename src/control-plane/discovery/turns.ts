import type { Cancel, Clock } from '#model/effects/clock.ts';

/** Someone who has a piece of work to do whenever it is his turn. */
export type TurnTaker = { takeTurn(): void };

/**
 * Lets many do their work piece by piece, one after the other, for so long at a time that whatever else the process does has
 * its turn between. Each waits at most once, behind those who came before.
 */
export class Turns<Taker extends TurnTaker> {
  readonly #waiting = new Set<Taker>();
  readonly #clock: Clock;
  readonly #budgetMs: number;
  #cancelNext: Cancel | null = null;
  #running = false;
  #held = false;

  constructor(clock: Clock, budgetMs: number) {
    this.#clock = clock;
    this.#budgetMs = budgetMs;
  }

  /** Lines `taker` up for the next round, which comes by itself. */
  want(taker: Taker): void {
    this.#waiting.add(taker);
    if (!this.#running) this.#runLater();
  }

  leave(taker: Taker): void {
    this.#waiting.delete(taker);
  }

  /** Nobody has a turn until `release`: what they would read is being changed. */
  hold(): void {
    this.#held = true;
  }

  release(): void {
    this.#held = false;
    if (this.#waiting.size > 0) this.#runLater();
  }

  /** A round now. */
  run(): void {
    if (this.#held) return;
    const startedMs = this.#clock.monotonicMs();
    this.#running = true;
    try {
      // Who wants another turn meanwhile is behind the others in the set, and is met in the same walk.
      for (const taker of this.#waiting) {
        this.#waiting.delete(taker);
        taker.takeTurn();
        if (this.#clock.monotonicMs() - startedMs >= this.#budgetMs) break;
      }
    } finally {
      this.#running = false;
      if (this.#waiting.size > 0) this.#runLater();
    }
  }

  #runLater(): void {
    this.#cancelNext ??= this.#clock.after(0, () => {
      this.#cancelNext = null;
      this.run();
    });
  }
}
