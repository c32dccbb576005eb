import { TUNNEL } from '#model/settings/tunnels.ts';
import { ERROR_CODE, Http2Error } from './constants.ts';

/** What a peer can send that costs us work and it nothing. */
export type FloodKind = 'reset' | 'control' | 'empty';

/** How many of each in a row, and how fast that allowance comes back. */
export type FloodLimits = Readonly<Record<FloodKind, { readonly burst: number; readonly perSecond: number }>>;

/** What a peer that carries tunnels may do. */
export const TUNNEL_FLOODS: FloodLimits = {
  reset: { burst: TUNNEL.resetBurst, perSecond: TUNNEL.resetsPerSecond },
  control: { burst: TUNNEL.controlBurst, perSecond: TUNNEL.controlsPerSecond },
  empty: { burst: TUNNEL.emptyBurst, perSecond: TUNNEL.emptiesPerSecond },
};

type Bucket = { tokens: number; readonly burst: number; readonly perSecond: number };

/**
 * Bounds cheap frames with one token bucket per kind: streams cancelled by the peer ("rapid reset"), frames that
 * demand an answer (SETTINGS, PING) or none (PRIORITY), and frames that carry nothing.
 */
export class FloodGuard {
  readonly #nowMs: () => number;
  #refilledMs: number;
  readonly #buckets: Record<FloodKind, Bucket>;

  constructor(nowMs: () => number, { reset, control, empty }: FloodLimits) {
    this.#buckets = {
      reset: { ...reset, tokens: reset.burst },
      control: { ...control, tokens: control.burst },
      empty: { ...empty, tokens: empty.burst },
    };
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
