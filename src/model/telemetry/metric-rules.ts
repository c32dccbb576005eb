import type { Facts, Value } from '#model/expression/attributes.ts';
import { compileText } from '#model/expression/expression.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { UNKNOWN } from './labels.ts';

/** A side of a connection that tells of it: that of the client or that of the server. A waypoint tells for the server (config-api 5.1). */
export type Side = 'client' | 'server';

/** Metrics of requests and connections that a Telemetry may speak of, by Istio's names for them (config-api 5.1). */
export const RULED_METRICS = {
  REQUEST_COUNT: 'istio_requests_total',
  REQUEST_DURATION: 'istio_request_duration_milliseconds',
  REQUEST_SIZE: 'istio_request_bytes',
  RESPONSE_SIZE: 'istio_response_bytes',
  GRPC_REQUEST_MESSAGES: 'istio_request_messages_total',
  GRPC_RESPONSE_MESSAGES: 'istio_response_messages_total',
  TCP_OPENED_CONNECTIONS: 'istio_tcp_connections_opened_total',
  TCP_CLOSED_CONNECTIONS: 'istio_tcp_connections_closed_total',
  TCP_SENT_BYTES: 'istio_tcp_sent_bytes_total',
  TCP_RECEIVED_BYTES: 'istio_tcp_received_bytes_total',
} as const;

/** One of them, by the name on the page. */
export type RuledMetric = (typeof RULED_METRICS)[keyof typeof RULED_METRICS];

/** Whether a Telemetry may speak of a metric. */
export function isRuled(name: string): name is RuledMetric {
  return Object.values<string>(RULED_METRICS).includes(name);
}

/** A label that is another than by default. `value`: an expression; null: the label is empty, which to Prometheus is none. */
export type LabelRule = { readonly tag: string; readonly value: string | null };

/** What one entry of `overrides` says. `disabled` null: it says nothing of that. */
export type MetricEntry = {
  readonly sides: readonly Side[];
  readonly metrics: readonly RuledMetric[];
  readonly disabled: boolean | null;
  readonly labels: readonly LabelRule[];
};

/** What is counted otherwise than by default; false: that metric is not counted. Plain JSON data only. */
export type MetricRules = { readonly [Metric in RuledMetric]?: false | readonly LabelRule[] };

/** What entries say together, the widest first: of each metric, and of each of its labels, the last one counts. */
export function metricRulesOf(entries: readonly MetricEntry[], side: Side): MetricRules {
  const rules = Object.values(RULED_METRICS).flatMap((metric): [RuledMetric, false | LabelRule[]][] => {
    const about = entries.filter(({ sides, metrics }) => sides.includes(side) && metrics.includes(metric));
    if (about.findLast(({ disabled }) => disabled !== null)?.disabled === true) return [[metric, false]];
    const labels = new Map(about.flatMap((entry) => entry.labels.map((one) => [one.tag, one] as const)));
    return labels.size === 0 ? [] : [[metric, [...labels.values()]]];
  });
  return Object.fromEntries(rules);
}

/** Whether a label may be another one for each request: an expression looks at it. */
export function dependOnRequest(rules: MetricRules | undefined): boolean {
  return Object.values(rules ?? {}).some((rule) => rule !== false && rule.some(({ value }) => value !== null));
}

type CompiledLabel = { readonly tag: string; readonly of: (facts: Facts) => string };

/** Rules that can be asked for each request. */
export type CompiledMetrics = ReadonlyMap<RuledMetric, false | readonly CompiledLabel[]>;

/** Null: nothing is counted otherwise. A label whose expression cannot be used is told through `problem`, and as it is by default. */
export function compileMetrics(rules: MetricRules | undefined, problem: (why: string) => void): CompiledMetrics | null {
  if (rules === undefined) return null;
  return new Map(
    Object.values(RULED_METRICS).flatMap((metric): [RuledMetric, false | CompiledLabel[]][] => {
      const rule = rules[metric];
      if (rule === undefined) return [];
      return [[metric, rule === false ? false : rule.flatMap((one) => compileLabel(one, problem) ?? [])]];
    }),
  );
}

function compileLabel({ tag, value }: LabelRule, problem: (why: string) => void): CompiledLabel | null {
  if (value === null) return { tag, of: () => '' };
  const outcome = compileText(value);
  if (outcome.kind === 'compiled') return { tag, of: (facts) => textOf(outcome.expression.of(facts)) };
  problem(`label ${tag} cannot be evaluated: ${outcome.why}`);
  return null;
}

/** Cut, since a client may choose it. */
function textOf(value: Value | undefined): string {
  return value === undefined ? UNKNOWN : String(value).slice(0, TELEMETRY.logValueCharsMax);
}

/** What is counted otherwise of one request or connection. */
export type RuledLabels = {
  /** By which it was made, and the values that were found: those with equal ones add to the same series. */
  readonly rules: CompiledMetrics;
  readonly key: string;
  /** Undefined: as by default; false: not counted. */
  of(metric: RuledMetric): false | Readonly<Record<string, string>> | undefined;
};

/** Evaluates every label once. */
export function ruledLabels(rules: CompiledMetrics, facts: Facts): RuledLabels {
  const found = new Map(
    [...rules].map(([metric, labels]) => {
      const values = labels === false ? false : Object.fromEntries(labels.map(({ tag, of }) => [tag, of(facts)]));
      return [metric, values] as const;
    }),
  );
  return { rules, key: JSON.stringify([...found.values()]), of: (metric) => found.get(metric) };
}
