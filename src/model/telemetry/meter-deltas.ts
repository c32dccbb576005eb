import type { Meters } from './meters.ts';
import type { CounterName } from './metrics.ts';

/** What a counter of another thread has grown by since that was told last. */
export type MeterDelta = { readonly name: CounterName; readonly labels: Readonly<Record<string, string>>; readonly add: number };

/** Tells what the counters of one thread have grown by, for the page of the process, which another thread serves. */
export class MeterDeltas {
  readonly #meters: Meters;
  readonly #told = new Map<string, number>();

  constructor(meters: Meters) {
    this.#meters = meters;
  }

  /** Since the last call. */
  take(): MeterDelta[] {
    const deltas: MeterDelta[] = [];
    for (const { name, series } of this.#meters.collect())
      for (const { labels, value } of series) {
        if (typeof value !== 'number') continue;
        const key = `${name} ${JSON.stringify(labels)}`;
        const add = value - (this.#told.get(key) ?? 0);
        if (add === 0) continue;
        this.#told.set(key, value);
        // Only counters are kept as numbers: what is read elsewhere has no reader in a thread that carries.
        deltas.push({ name: name as CounterName, labels, add });
      }
    return deltas;
  }
}

/** Adds what another thread has counted. */
export function addDeltas(meters: Meters, deltas: readonly MeterDelta[]): void {
  for (const { name, labels, add } of deltas) meters.counter(name, labels as never).add(add);
}
