import { type MetricEntry, type MetricRules, metricRulesOf, type Side } from './metric-rules.ts';

/** What one entry of `accessLogging` says of the log. `filter`: the expression that a request must hold to have its line; null: any. */
export type LogEntry = { readonly sides: readonly Side[]; readonly disabled: boolean; readonly filter: string | null };

/** What a span shows beside what all do: a text, a header of the request, or a variable of the waypoint's environment. */
export type SpanTag = {
  readonly tag: string;
  readonly from: 'literal' | 'header' | 'environment';
  /** The text; else the name of the header, in lower case, or of the variable. */
  readonly name: string;
  /** Where that is not there; null: there is no such tag then. */
  readonly otherwise: string | null;
};

/** What `tracing` says; null: it does not say that. */
export type TracingEntry = {
  readonly sides: readonly Side[];
  /** Of the requests whose callers have not decided, so many are traced. */
  readonly percent: number | null;
  readonly reported: boolean | null;
  readonly tags: readonly SpanTag[] | null;
  readonly istioTags: boolean | null;
  readonly byRequestId: boolean | null;
  readonly propagated: boolean | null;
};

/** What one Telemetry says of what is told: sections that it does not have say nothing. */
export type TelemetrySpec = {
  readonly accessLog: readonly LogEntry[];
  readonly tracing: TracingEntry | null;
  readonly metrics: readonly MetricEntry[];
};

/** What is told of the requests and connections to a service; absent: as without any Telemetry. Plain JSON data only. */
export type TelemetryRules = {
  /** Their lines in the access log: false says that there are none. */
  readonly accessLog?: false | { readonly filter: string };
  readonly tracing?: TracingRules;
  readonly metrics?: MetricRules;
};

/** Of traces; absent: as without any Telemetry. */
export type TracingRules = {
  readonly percent?: number;
  /** Spans go to the collector: false says that none does, though traces go on. */
  readonly reported?: false;
  readonly tags?: readonly SpanTag[];
  /** Tags that tell of the mesh. */
  readonly istioTags?: false;
  /** The request id decides where the caller has not; false: the trace id does. */
  readonly byRequestId?: false;
  /** What goes upstream names the span here; false: headers of a trace pass as they came. */
  readonly propagated?: false;
};

/** Of its environment a waypoint shows what begins so: all else belongs to the operator, and may be secret. */
export const SHOWN_VARIABLE = 'WEFT_TAG_';

/**
 * What several Telemetries say together to whoever tells for `side`, the widest first: that of the mesh, of a namespace, of a service.
 * Sections are inherited apart, and of each the narrowest that says something counts, value by value; tags are one value.
 */
export function rulesOf(specs: readonly TelemetrySpec[], side: Side): TelemetryRules {
  const log = specs.flatMap(({ accessLog }) => accessLog).findLast(({ sides }) => sides.includes(side));
  const tracing = tracingOf(specs.flatMap((spec) => (spec.tracing?.sides.includes(side) === true ? [spec.tracing] : [])));
  const metrics = metricRulesOf(
    specs.flatMap((spec) => spec.metrics),
    side,
  );
  return {
    ...(log?.disabled === true && { accessLog: false }),
    ...(log?.disabled === false && log.filter !== null && { accessLog: { filter: log.filter } }),
    ...(Object.keys(tracing).length > 0 && { tracing }),
    ...(Object.keys(metrics).length > 0 && { metrics }),
  };
}

function tracingOf(entries: readonly TracingEntry[]): TracingRules {
  const last = <T>(of: (entry: TracingEntry) => T | null): T | null =>
    entries.map(of).findLast((value) => value !== null) ?? null;
  const percent = last((entry) => entry.percent);
  const tags = last((entry) => entry.tags);
  return {
    ...(percent !== null && { percent }),
    ...(tags !== null && tags.length > 0 && { tags }),
    ...(last(({ reported }) => reported) === false && { reported: false }),
    ...(last(({ istioTags }) => istioTags) === false && { istioTags: false }),
    ...(last(({ byRequestId }) => byRequestId) === false && { byRequestId: false }),
    ...(last(({ propagated }) => propagated) === false && { propagated: false }),
  };
}
