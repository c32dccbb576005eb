import type { Cancel, Clock } from '#model/effects/clock.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';

/** `lost` is called at most once, when the peer is gone. */
export type KeepaliveEffects = {
  clock: Clock;
  sendPing(): void;
  lost(): void;
  /** After the start, and after each answer; and what an answer may take. */
  intervalMs?: number;
  timeoutMs?: number;
  /** Whether it matters now that the peer is there. */
  isWanted?(): boolean;
};

/** Notices a dead peer: that of a tunnel within half a minute (B21). One timer at a time. */
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

  /** Asks at once: there is reason to think that the peer is gone. */
  ask(): void {
    if (this.#waiting) return;
    this.#cancel();
    this.#await();
  }

  stop(): void {
    this.#cancel();
    this.#waiting = false;
  }

  #scheduleNext(): void {
    this.#waiting = false;
    const { clock, intervalMs = TUNNEL.pingIntervalMs, isWanted } = this.#effects;
    this.#cancel = clock.after(intervalMs, () => {
      if (isWanted?.() === false) {
        this.#scheduleNext();
        return;
      }
      this.#await();
    });
  }

  #await(): void {
    const { clock, timeoutMs = TUNNEL.pingTimeoutMs } = this.#effects;
    this.#waiting = true;
    this.#cancel = clock.after(timeoutMs, () => this.#effects.lost());
    this.#effects.sendPing();
  }
}
