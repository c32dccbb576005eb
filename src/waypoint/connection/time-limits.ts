import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { ConnectionSettings } from '#model/waypoint/destination-settings.ts';

/** Why a connection that is not HTTP has had its time. */
export type TimeLimit = 'idle' | 'duration';

/** Ends a connection that was idle for too long, or that lasted as long as it may. Without limits nothing is timed. */
export class TimeLimits {
  readonly #clock: Clock;
  readonly #idleMs: number | null;
  readonly #onLimit: (limit: TimeLimit) => void;
  #lastMs = 0;
  #cancelIdle: Cancel = () => {};
  #cancelDuration: Cancel = () => {};

  /** `settings`: those of its destination; undefined: nothing is said. */
  constructor(settings: ConnectionSettings | undefined, clock: Clock, onLimit: (limit: TimeLimit) => void) {
    this.#clock = clock;
    this.#idleMs = settings?.tcpIdleTimeoutMs ?? null;
    this.#onLimit = onLimit;
    this.touched();
    if (this.#idleMs !== null) this.#watch(this.#idleMs);
    const durationMs = settings?.maxConnectionMs ?? null;
    if (durationMs !== null) this.#cancelDuration = clock.after(durationMs, () => onLimit('duration'));
  }

  /** Bytes have passed. */
  touched(): void {
    if (this.#idleMs !== null) this.#lastMs = this.#clock.monotonicMs();
  }

  /** The connection is over. */
  stop(): void {
    this.#cancelIdle();
    this.#cancelDuration();
  }

  /** One timer that is set anew when it goes off too early: bytes come far more often. */
  #watch(afterMs: number): void {
    this.#cancelIdle = this.#clock.after(afterMs, () => {
      const leftMs = this.#lastMs + (this.#idleMs ?? 0) - this.#clock.monotonicMs();
      if (leftMs <= 0) this.#onLimit('idle');
      else this.#watch(leftMs);
    });
  }
}
