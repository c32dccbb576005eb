import type { Cancel, Clock } from '#model/effects/clock.ts';
import { RESOURCE } from '#model/settings/control-planes.ts';

/** Acts once events have been quiet for a while, or after `RESOURCE.quietMsMax` while they keep coming. */
export class QuietTimer {
  readonly #clock: Clock;
  readonly #act: () => void;
  #timer: Cancel | null = null;
  #firstEventMs: number | null = null;

  constructor(clock: Clock, act: () => void) {
    this.#clock = clock;
    this.#act = act;
  }

  /** There was an event: waits for `delayMs` from now on. */
  wait(delayMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    this.#firstEventMs ??= nowMs;
    const leftMs = this.#firstEventMs + RESOURCE.quietMsMax - nowMs;
    this.#timer?.();
    this.#timer = this.#clock.after(Math.max(0, Math.min(delayMs, leftMs)), () => {
      this.stop();
      this.#act();
    });
  }

  stop(): void {
    this.#timer?.();
    this.#timer = null;
    this.#firstEventMs = null;
  }
}
