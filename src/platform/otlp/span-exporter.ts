import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { Retry } from '#model/resilience/retry.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { Span } from '#model/telemetry/trace.ts';
import { systemRandom } from '#platform/random.ts';
import type { Collector, Fate } from './collectors.ts';

/** Where spans go, and who tells of them. */
export type SpanExporterOptions = {
  readonly collector: Collector;
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: Meters;
};

/** Takes spans to a collector by OTLP, one batch at a time, in their order; those that cannot be kept are counted. */
export class SpanExporter {
  readonly #options: SpanExporterOptions;
  #waiting: Span[] = [];
  readonly #retry: Retry;
  #busy = false;
  #isAway = false;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
    const backoff = { firstMs: TELEMETRY.spanPauseMs, maxMs: TELEMETRY.spanPauseMaxMs };
    this.#retry = new Retry({ clock: options.clock, random: systemRandom }, backoff, () => this.#next());
  }

  /** Keeps these for the collector; `dropped`: how many were left out before. */
  add(spans: readonly Span[], dropped: number): void {
    this.#waiting.push(...spans);
    const tooMany = Math.max(0, this.#waiting.length - TELEMETRY.spansWaitingMax);
    this.#waiting.splice(0, tooMany);
    this.#count('dropped', dropped + tooMany);
    if (!this.#busy) this.#next();
  }

  #next(): void {
    const batch = this.#waiting.splice(0, TELEMETRY.spanBatchMax);
    this.#busy = batch.length > 0;
    if (!this.#busy) return;
    this.#options.collector.send(batch).then(
      (fate) => this.#answered(batch, fate),
      (error: unknown) => this.#failed(batch, messageOf(error)),
    );
  }

  #answered(batch: readonly Span[], fate: Fate): void {
    if (fate.kind === 'again') {
      this.#failed(batch, fate.why);
      return;
    }
    const refused = fate.kind === 'taken' ? Math.min(fate.rejected, batch.length) : batch.length;
    this.#count('exported', batch.length - refused);
    this.#count('refused', refused);
    if (refused > 0) {
      const error = fate.kind === 'refused' ? fate.why : `it has taken all but ${refused}`;
      this.#options.log.warn({ error }, 'the collector refuses spans');
    }
    this.#isAway = false;
    this.#retry.succeeded();
    this.#next();
  }

  /** They wait in front of those that came meanwhile, as far as there is room. */
  #failed(batch: readonly Span[], error: string): void {
    if (!this.#isAway)
      this.#options.log.warn({ error }, 'spans do not reach the collector; they wait, and the oldest are left out');
    this.#isAway = true;
    const room = Math.max(0, TELEMETRY.spansWaitingMax - this.#waiting.length);
    const kept = room === 0 ? [] : batch.slice(-room);
    this.#count('dropped', batch.length - kept.length);
    this.#waiting.unshift(...kept);
    this.#retry.failed();
  }

  #count(fate: 'exported' | 'refused' | 'dropped', count: number): void {
    if (count > 0) this.#options.meters.counter('weft_spans_total', { fate }).add(count);
  }
}
