import type { Cancel, Clock } from '#model/effects/clock.ts';

/** A PING goes out this long after the start, and after each answer. */
export const PING_INTERVAL_MS = 10_000;
/** A peer that has not answered for this long is gone. */
export const PING_TIMEOUT_MS = 20_000;

/** `lost` is called at most once, when the peer is gone. */
export type KeepaliveEffects = { clock: Clock; sendPing(): void; lost(): void };

/** Notices a dead peer within half a minute (B21). One timer at a time. */
export class Keepalive {
  readonly #effects: KeepaliveEffects;
  #cancel: Cancel = () => {};
  #waiting = false;

  constructor(effects: KeepaliveEffects) {
    this.#effects = effects;
    this.#scheduleNext();
  }

  /** The peer has answered our PING. */
  answered(): void {
    if (!this.#waiting) return;
    this.#cancel();
    this.#scheduleNext();
  }

  stop(): void {
    this.#cancel();
    this.#waiting = false;
  }

  #scheduleNext(): void {
    this.#waiting = false;
    this.#cancel = this.#effects.clock.after(PING_INTERVAL_MS, () => {
      this.#waiting = true;
      this.#cancel = this.#effects.clock.after(PING_TIMEOUT_MS, () => this.#effects.lost());
      this.#effects.sendPing();
    });
  }
}
