import { TELEMETRY } from '#model/settings/telemetry.ts';
import { LABELS, type LabelBound, type LabelName, OVERFLOW, UNKNOWN } from './labels.ts';
import {
  type CounterName,
  type HistogramName,
  type LabelValues,
  METRICS,
  type MetricDefinition,
  type MetricName,
  type MetricsProcess,
  type ReadableName,
} from './metrics.ts';

/** One counter series: a number that a hot path raises without looking anything up. */
export class Count {
  value = 0;

  add(count = 1): void {
    this.value += count;
  }
}

/** One histogram series. */
export class Distribution {
  readonly bounds: readonly number[];
  /** By bucket, not summed up; the last one has no bound. */
  readonly counts: number[];
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > (this.bounds[at] ?? 0)) at++;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.sum += value;
  }

  /** Adds what was observed elsewhere, by the same buckets. */
  merge(counts: readonly number[], sum: number): void {
    for (let at = 0; at < this.counts.length; at++) this.counts[at] = (this.counts[at] ?? 0) + (counts[at] ?? 0);
    this.sum += sum;
  }
}

/** Labels that a metric does not have by itself. */
export type OtherLabels = Readonly<Record<string, string>>;
const NO_OTHERS: OtherLabels = {};

/** A value that is read when somebody looks, with its labels. */
export type Reading<Name extends MetricName> = { readonly labels: LabelValues<Name>; readonly value: number };

/** A series as a page shows it. */
export type Series = { readonly labels: Readonly<Record<string, string>>; readonly value: number | Distribution };

/** A metric with all its series, at this moment. */
export type MetricFamily = {
  readonly name: MetricName;
  readonly definition: MetricDefinition;
  readonly series: readonly Series[];
};

/** A series that is counted in these meters. */
export type CountedSeries = {
  readonly name: MetricName;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: Count | Distribution;
};

type Kept = { readonly labels: Readonly<Record<string, string>>; readonly value: Count | Distribution };

/** The metrics of one process. Label sets are bounded; what does not fit is counted under "overflow", never dropped. */
export class Meters {
  readonly #process: MetricsProcess;
  readonly #seriesMax: number;
  readonly #kept = new Map<MetricName, Map<string, Kept>>();
  readonly #readers = new Map<MetricName, (() => Iterable<Reading<MetricName>>)[]>();
  readonly #fetches: (() => Promise<void>)[] = [];
  /** Values seen of each open label, over all metrics. */
  readonly #seen = new Map<string, Set<string>>();

  constructor(process: MetricsProcess, seriesMax: number = TELEMETRY.seriesMax) {
    this.#process = process;
    this.#seriesMax = seriesMax;
  }

  /** The series of these labels; keep it where it is used often, looking it up costs microseconds. `others`: that a Telemetry adds. */
  counter<Name extends CounterName>(name: Name, labels: LabelValues<Name>, others: OtherLabels = NO_OTHERS): Count {
    const kept = this.#series(name, labels, others, () => new Count());
    return kept instanceof Count ? kept : new Count();
  }

  /** As counter. */
  histogram<Name extends HistogramName>(name: Name, labels: LabelValues<Name>, others: OtherLabels = NO_OTHERS): Distribution {
    const { buckets } = METRICS[name];
    const kept = this.#series(name, labels, others, () => new Distribution(buckets));
    return kept instanceof Distribution ? kept : new Distribution(buckets);
  }

  /** A metric whose values are known elsewhere: `readings` is asked whenever somebody looks. */
  read<Name extends ReadableName>(name: Name, readings: () => Iterable<Reading<Name>>): void {
    const known = this.#readers.get(name) ?? [];
    this.#readers.set(name, [...known, readings as () => Iterable<Reading<MetricName>>]);
  }

  /** A metric without labels whose value is known elsewhere. */
  readValue(name: ReadableName, value: () => number): void {
    this.read(name, () => [{ labels: {}, value: value() }]);
  }

  /** The sum over all series of a counter. */
  total(name: CounterName): number {
    let sum = 0;
    for (const { value } of this.#kept.get(name)?.values() ?? []) if (value instanceof Count) sum += value.value;
    return sum;
  }

  /** Ahead of each look, `bring` brings here what was counted elsewhere. */
  fetchFirst(bring: () => Promise<void>): void {
    this.#fetches.push(bring);
  }

  /** Resolves when all of that is here. */
  async fetched(): Promise<void> {
    await Promise.all(this.#fetches.map((bring) => bring()));
  }

  /** Every series that is counted here; what is only read is none of them. */
  *counted(): Iterable<CountedSeries> {
    for (const [name, all] of this.#kept) for (const { labels, value } of all.values()) yield { name, labels, value };
  }

  /** Every metric of this process, in the order of the table. */
  collect(): MetricFamily[] {
    return Object.entries(METRICS as Readonly<Record<string, MetricDefinition>>).flatMap(([text, definition]) => {
      const name = text as MetricName;
      if (!definition.of.includes(this.#process)) return [];
      const series = [...(this.#kept.get(name)?.values() ?? [])].map(({ labels, value }) => ({
        labels,
        value: value instanceof Count ? value.value : value,
      }));
      return [{ name, definition, series: [...series, ...this.#readings(name)] }];
    });
  }

  /** Two readings that fall into one label set, beyond its bounds, are one series. */
  #readings(name: MetricName): Series[] {
    const merged = new Map<string, { labels: Record<string, string>; value: number }>();
    for (const readings of this.#readers.get(name) ?? [])
      for (const { labels: given, value } of readings()) {
        const labels = this.#bounded(name, given);
        const key = keyOf(labels, name);
        const known = merged.get(key);
        merged.set(key, { labels, value: (known?.value ?? 0) + value });
      }
    return [...merged.values()];
  }

  #series(
    name: MetricName,
    given: LabelValues<MetricName>,
    others: OtherLabels,
    make: () => Count | Distribution,
  ): Count | Distribution {
    const all = this.#kept.get(name) ?? new Map<string, Kept>();
    this.#kept.set(name, all);
    let labels = this.#bounded(name, given, others);
    let key = keyOf(labels, name);
    const known = all.get(key);
    if (known !== undefined) return known.value;
    if (all.size >= this.#seriesMax) {
      this.#countOverflow(name);
      labels = overflowed(labels, name);
      key = keyOf(labels, name);
      const place = all.get(key);
      if (place !== undefined) return place.value;
    }
    const value = make();
    all.set(key, { labels, value });
    return value;
  }

  #bounded(name: MetricName, given: LabelValues<MetricName>, others: OtherLabels = NO_OTHERS): Record<string, string> {
    const values: Readonly<Record<string, string | undefined>> = given;
    const labels: Record<string, string> = {};
    let fits = true;
    for (const label of METRICS[name].labels) {
      const value = values[label] ?? UNKNOWN;
      labels[label] = this.#hasPlace(label, value) ? value : OVERFLOW;
      fits &&= labels[label] === value;
    }
    for (const [label, value] of Object.entries(others)) {
      // An empty label is none to Prometheus: shown beside a series without it, the two would be one twice.
      if (value === '' || Object.hasOwn(labels, label)) continue;
      labels[label] = this.#isOneOf(`${label} of a Telemetry`, value, TELEMETRY.workloadValuesMax) ? value : OVERFLOW;
      fits &&= labels[label] === value;
    }
    if (!fits) this.#countOverflow(name);
    return labels;
  }

  #hasPlace(label: LabelName, value: string): boolean {
    const bound: LabelBound = LABELS[label].bound;
    if (value === UNKNOWN || value === '') return true;
    if (typeof bound !== 'number') return bound.includes(value);
    return this.#isOneOf(label, value, bound);
  }

  /** Whether it is one of the first values of its kind. */
  #isOneOf(kind: string, value: string, max: number): boolean {
    const seen = this.#seen.get(kind) ?? new Set<string>();
    this.#seen.set(kind, seen);
    if (seen.has(value)) return true;
    if (seen.size >= max) return false;
    seen.add(value);
    return true;
  }

  #countOverflow(metric: MetricName): void {
    if (metric !== 'weft_metrics_overflow_total') this.counter('weft_metrics_overflow_total', { metric }).add();
  }
}

/** Its own labels are always there, in the order of the table; the names of others tell those apart. */
function keyOf(labels: Readonly<Record<string, string>>, name: MetricName): string {
  const values = Object.values(labels);
  const own = METRICS[name].labels.length;
  if (values.length === own) return values.join('\0');
  const others = Object.entries(labels)
    .slice(own)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return [...values.slice(0, own), ...others.flat()].join('\0');
}

/** Closed labels stay, so that the series that take what does not fit are few as well. */
function overflowed(labels: Readonly<Record<string, string>>, name: MetricName): Record<string, string> {
  const own: readonly string[] = METRICS[name].labels;
  return Object.fromEntries(
    Object.entries(labels).map(([label, value]) => {
      const bound: LabelBound = own.includes(label) ? LABELS[label as LabelName].bound : TELEMETRY.workloadValuesMax;
      return [label, typeof bound === 'number' ? OVERFLOW : value];
    }),
  );
}
