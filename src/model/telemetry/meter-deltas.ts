import { Count, type Distribution, type Meters } from './meters.ts';
import { type CounterName, type HistogramName, METRICS } from './metrics.ts';

type Labels = Readonly<Record<string, string>>;

/** What a series of another thread has grown by since that was told last; a distribution by bucket, not summed up. */
export type MeterDelta =
  | { readonly name: CounterName; readonly labels: Labels; readonly add: number }
  | { readonly name: HistogramName; readonly labels: Labels; readonly counts: readonly number[]; readonly sum: number };

/** What was told last of a distribution. */
type ToldOf = { readonly counts: number[]; sum: number };

/** Tells what the counters of one thread have grown by, for the page of the process, which another thread serves. */
export class MeterDeltas {
  readonly #meters: Meters;
  /** By series: a look costs nothing but a comparison for those that nobody added to. */
  readonly #counts = new Map<Count, number>();
  readonly #distributions = new Map<Distribution, ToldOf>();

  constructor(meters: Meters) {
    this.#meters = meters;
  }

  /** Since the last call. */
  take(): MeterDelta[] {
    const deltas: MeterDelta[] = [];
    for (const { name, labels, value } of this.#meters.counted()) {
      if (value instanceof Count) {
        const add = value.value - (this.#counts.get(value) ?? 0);
        if (add === 0) continue;
        this.#counts.set(value, value.value);
        deltas.push({ name: name as CounterName, labels, add }); // the meters keep a Count under no other name
      } else {
        const grown = this.#grown(value);
        if (grown !== null) deltas.push({ name: name as HistogramName, labels, ...grown });
      }
    }
    return deltas;
  }

  #grown(distribution: Distribution): { counts: number[]; sum: number } | null {
    const told = this.#distributions.get(distribution) ?? { counts: distribution.counts.map(() => 0), sum: 0 };
    if (distribution.counts.every((count, at) => count === told.counts[at])) return null;
    const counts = distribution.counts.map((count, at) => count - (told.counts[at] ?? 0));
    const sum = distribution.sum - told.sum;
    this.#distributions.set(distribution, { counts: [...distribution.counts], sum: distribution.sum });
    return { counts, sum };
  }
}

/** Adds what another thread has counted. */
export function addDeltas(meters: Meters, deltas: readonly MeterDelta[]): void {
  for (const delta of deltas) {
    // Labels of the same metric, as the meters of the other thread gave them: what it does not have by itself was added there.
    const labels = delta.labels as never;
    const own: readonly string[] = METRICS[delta.name].labels;
    const others = Object.fromEntries(Object.entries(delta.labels).filter(([label]) => !own.includes(label)));
    if ('add' in delta) meters.counter(delta.name, labels, others).add(delta.add);
    else meters.histogram(delta.name, labels, others).merge(delta.counts, delta.sum);
  }
}
