import type { Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { Retry } from '#model/resilience/retry.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { Span } from '#model/telemetry/trace.ts';
import { systemRandom } from '#platform/random.ts';
import { exportRequest } from '#protocol/otlp/spans.ts';

/** Where spans go, and who tells of them. */
export type SpanExporterOptions = {
  /** Of the collector, as OTEL_EXPORTER_OTLP_ENDPOINT has it: spans are posted to its `/v1/traces`. */
  readonly endpoint: string;
  readonly resource: Readonly<Record<string, string>>;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: Meters;
};

/** Answers after which OTLP says to try again. */
const BUSY = [429, 502, 503, 504];

/** Takes spans to a collector by OTLP over HTTP, one batch at a time, in their order; those that cannot be kept are counted. */
export class SpanExporter {
  readonly #options: SpanExporterOptions;
  readonly #place: URL;
  #waiting: Span[] = [];
  readonly #retry: Retry;
  #busy = false;
  #isAway = false;

  constructor(options: SpanExporterOptions) {
    this.#options = options;
    const backoff = { firstMs: TELEMETRY.spanPauseMs, maxMs: TELEMETRY.spanPauseMaxMs };
    this.#retry = new Retry({ clock: options.clock, random: systemRandom }, backoff, () => this.#next());
    this.#place = new URL('v1/traces', options.endpoint.endsWith('/') ? options.endpoint : `${options.endpoint}/`);
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
    this.#post(batch).then(
      (status) => this.#answered(batch, status),
      (error: unknown) => this.#failed(batch, messageOf(error)),
    );
  }

  async #post(batch: readonly Span[]): Promise<number> {
    const { resource, version } = this.#options;
    const response = await fetch(this.#place, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: exportRequest(batch, resource, version),
      redirect: 'error',
      signal: AbortSignal.timeout(TELEMETRY.spanExportMs),
    });
    await response.body?.cancel();
    return response.status;
  }

  #answered(batch: readonly Span[], status: number): void {
    if (BUSY.includes(status)) {
      this.#failed(batch, `it answers ${status}`);
      return;
    }
    const isTaken = status >= 200 && status < 300;
    this.#count(isTaken ? 'exported' : 'refused', batch.length);
    if (!isTaken) this.#options.log.warn({ error: `it answers ${status}` }, 'the collector refuses spans');
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
