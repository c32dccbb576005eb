import type { Clock } from '#model/effects/clock.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Span } from '#model/telemetry/trace.ts';

/** Gathers spans, so that what serves requests hands them over seldom; one that does not fit is counted and left out. */
export class SpanBatches {
  readonly #clock: Clock;
  readonly #send: (spans: readonly Span[], dropped: number) => void;
  #spans: Span[] = [];
  #dropped = 0;

  constructor(clock: Clock, send: (spans: readonly Span[], dropped: number) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Keeps one for the next batch, which leaves a little later. */
  add(span: Span): void {
    if (this.#spans.length >= TELEMETRY.spanBatchMax) {
      this.#dropped++;
      return;
    }
    if (this.#spans.push(span) === 1) this.#clock.after(TELEMETRY.spanBatchMs, () => this.#flush());
  }

  #flush(): void {
    const spans = this.#spans;
    const dropped = this.#dropped;
    this.#spans = [];
    this.#dropped = 0;
    this.#send(spans, dropped);
  }
}
