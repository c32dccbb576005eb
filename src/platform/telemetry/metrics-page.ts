import { Gauge, type MetricType, Registry } from 'prom-client';
import { LOCALITY_LABELS } from '#model/telemetry/labels.ts';
import { Distribution, type MetricFamily, type Series } from '#model/telemetry/meters.ts';

type Line = { labels: Record<string, string>; value: number; metricName?: string };

/** What a metrics page is sent as. */
export const PAGE_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

/**
 * The metrics page in the Prometheus text format; nothing here is touched while traffic is counted.
 * `names`: with Istio's names throughout, or those that are in base units, as Prometheus' linter wants them.
 */
export async function metricsPage(families: readonly MetricFamily[], names: 'istio' | 'base-units'): Promise<string> {
  const registry = new Registry();
  for (const family of families) if (family.series.length > 0) registry.registerMetric(new Family(family, names));
  return registry.metrics();
}

/** One metric as prom-client's registry asks for it. Our own series stand in the place of its own, which cost microseconds each. */
class Family extends Gauge {
  readonly #family: MetricFamily;

  readonly #unit: { readonly name: string; readonly by: number };

  constructor(family: MetricFamily, names: 'istio' | 'base-units') {
    const { inBaseUnit } = family.definition;
    const unit = inBaseUnit === undefined || names === 'istio' ? { name: family.name, by: 1 } : inBaseUnit;
    super({ name: unit.name, help: family.definition.help, registers: [] });
    this.#family = family;
    this.#unit = unit;
  }

  override async get() {
    const { definition, series } = this.#family;
    // Declared as a number, but the registry writes what it finds here.
    const type = definition.type as unknown as MetricType;
    return { ...(await super.get()), type, values: series.flatMap((one) => linesOf(this.#unit, one)) };
  }
}

function linesOf({ name, by }: { name: string; by: number }, { labels: all, value }: Series): Line[] {
  const labels = all.source_region === '' ? withoutLocality(all) : all;
  if (!(value instanceof Distribution)) return [{ labels, value: value / by }];
  let below = 0;
  const buckets = value.counts.map((count, at) => {
    below += count;
    return { labels: { ...labels, le: boundText(value.bounds[at], by) }, value: below, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { labels, value: value.sum / by, metricName: `${name}_sum` },
    { labels, value: below, metricName: `${name}_count` },
  ];
}

/** An empty label is none to Prometheus, and a ztunnel does not write these. */
function withoutLocality(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([label]) => !LOCALITY.has(label)));
}

const LOCALITY: ReadonlySet<string> = new Set(LOCALITY_LABELS);

function boundText(bound: number | undefined, by: number): string {
  return bound === undefined ? '+Inf' : String(bound / by);
}
