import type { Kernel } from '#node-agent/effects/agent-effects.ts';

/**
 * Plain text that was established late: its SYN was let in by an older policy, and its last step is the peer's to delay, or
 * that of a full backlog. The kernel can only count it then; whoever sees the count rise looks at all live connections again.
 * A count is not lost as an event of a full ring would be.
 */
export class LateArrivals {
  readonly #kernel: Pick<Kernel, 'counter'>;
  readonly #closeDenied: () => void;
  #seen: number;

  constructor(kernel: Pick<Kernel, 'counter'>, closeDenied: () => void) {
    this.#kernel = kernel;
    this.#closeDenied = closeDenied;
    this.#seen = this.#count();
  }

  /** Cheap while there is none: to be called often. A flood of them costs one look for each call. */
  watch(): void {
    const count = this.#count();
    if (count === this.#seen) return;
    this.#seen = count;
    this.#closeDenied();
  }

  #count(): number {
    return this.#kernel.counter('inbound_late');
  }
}
