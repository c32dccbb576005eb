import type { Cancel, Clock } from '#model/effects/clock.ts';

type Timer = { atMs: number; order: number; task: () => void };

/** A clock that stands still until a test moves it: tasks run in the order of their time, within `advance`. `set` is as a person sets a clock. */
export class SteppedClock implements Clock {
  readonly #timers = new Set<Timer>();
  #nowMs: number;
  #order = 0;
  #setByMs = 0;
  readonly #startMs: number;

  constructor(startMs = Date.parse('2026-01-01T00:00:00Z')) {
    this.#nowMs = startMs;
    this.#startMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs + this.#setByMs;
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs + 1_000;
  }

  /** Changes what time it is, and nothing of how time goes on. */
  set(byMs: number): void {
    this.#setByMs += byMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    const timer = { atMs: this.#nowMs + delayMs, order: this.#order++, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  every(periodMs: number, task: () => void): Cancel {
    let cancel: Cancel = () => {};
    const again = () => {
      cancel = this.after(periodMs, again);
      task();
    };
    cancel = this.after(periodMs, again);
    return () => cancel();
  }

  /** Moves time forward and runs what falls due, tasks that are added on the way included. */
  advance(byMs: number): void {
    const untilMs = this.#nowMs + byMs;
    for (let next = this.#next(untilMs); next !== null; next = this.#next(untilMs)) {
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.task();
    }
    this.#nowMs = untilMs;
  }

  /** Milliseconds until each waiting task, soonest first. */
  pendingMs(): number[] {
    return [...this.#timers].map(({ atMs }) => atMs - this.#nowMs).sort((a, b) => a - b);
  }

  #next(untilMs: number): Timer | null {
    let first: Timer | null = null;
    for (const timer of this.#timers) {
      if (timer.atMs > untilMs) continue;
      if (first === null || timer.atMs < first.atMs || (timer.atMs === first.atMs && timer.order < first.order)) first = timer;
    }
    return first;
  }
}
