import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERROR_CODE, Http2Error } from './constants.ts';

/** What a peer can send that costs us work and it nothing. */
export type FloodKind = 'reset' | 'control' | 'empty';

type Bucket = { tokens: number; readonly burst: number; readonly perSecond: number };

/**
 * Bounds cheap frames with one token bucket per kind: streams cancelled by the peer ("rapid reset"), frames that
 * demand an answer (SETTINGS, PING) or none (PRIORITY), and frames that carry nothing.
 */
export class FloodGuard {
  readonly #nowMs: () => number;
  #refilledMs: number;
  readonly #buckets: Record<FloodKind, Bucket> = {
    reset: { tokens: TUNNEL.resetBurst, burst: TUNNEL.resetBurst, perSecond: TUNNEL.resetsPerSecond },
    control: { tokens: TUNNEL.controlBurst, burst: TUNNEL.controlBurst, perSecond: TUNNEL.controlsPerSecond },
    empty: { tokens: TUNNEL.emptyBurst, burst: TUNNEL.emptyBurst, perSecond: TUNNEL.emptiesPerSecond },
  };

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#refilledMs = nowMs();
  }

  /** Counts one frame. Throws Http2Error (ENHANCE_YOUR_CALM) when there were too many. */
  count(kind: FloodKind): void {
    const bucket = this.#buckets[kind];
    if (bucket.tokens < 1) this.#refill();
    if (bucket.tokens < 1) throw new Http2Error(ERROR_CODE.enhanceYourCalm, `too many ${kind} frames`);
    bucket.tokens--;
  }

  #refill(): void {
    const nowMs = this.#nowMs();
    const seconds = Math.max(0, nowMs - this.#refilledMs) / 1_000;
    this.#refilledMs = nowMs;
    for (const bucket of Object.values(this.#buckets))
      bucket.tokens = Math.min(bucket.burst, bucket.tokens + seconds * bucket.perSecond);
  }
}
