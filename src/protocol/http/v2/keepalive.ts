import type { Cancel, Clock } from '#model/effects/clock.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';

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
    this.#cancel = this.#effects.clock.after(TUNNEL.pingIntervalMs, () => {
      this.#waiting = true;
      this.#cancel = this.#effects.clock.after(TUNNEL.pingTimeoutMs, () => this.#effects.lost());
      this.#effects.sendPing();
    });
  }
}
