/** A side of a connection that tells of it: that of the client or that of the server. A waypoint tells for the server (config-api 5.1). */
export type Side = 'client' | 'server';

/** What one entry of `accessLogging` says of the log. */
export type LogEntry = { readonly sides: readonly Side[]; readonly disabled: boolean };

/** What `tracing` says; null: it does not say that. */
export type TracingEntry = {
  readonly sides: readonly Side[];
  /** Of the requests whose callers have not decided, so many are traced. */
  readonly percent: number | null;
  readonly reported: boolean | null;
};

/** What one Telemetry says of what is told: sections that it does not have say nothing. */
export type TelemetrySpec = { readonly accessLog: readonly LogEntry[]; readonly tracing: TracingEntry | null };

/** What is told of the requests and connections to a service; absent: as without any Telemetry. Plain JSON data only. */
export type TelemetryRules = {
  /** Their lines in the access log: false says that there are none. */
  readonly accessLog?: false;
  readonly tracing?: {
    readonly percent?: number;
    /** Spans go to the collector: false says that none does, though traces go on. */
    readonly reported?: false;
  };
};

/** Nothing is said: all is told as it is by default. */
export const DEFAULT_RULES: TelemetryRules = {};

/**
 * What several Telemetries say together to whoever tells for `side`, the widest first: that of the mesh, of a namespace, of a service.
 * Sections are inherited apart, and of each the narrowest that says something counts, value by value.
 */
export function rulesOf(specs: readonly TelemetrySpec[], side: Side): TelemetryRules {
  const disabled = specs.flatMap(({ accessLog }) => accessLog).findLast(({ sides }) => sides.includes(side))?.disabled;
  const tracing = tracingOf(specs.flatMap((spec) => (spec.tracing?.sides.includes(side) === true ? [spec.tracing] : [])));
  return {
    ...(disabled === true && { accessLog: false }),
    ...(Object.keys(tracing).length > 0 && { tracing }),
  };
}

function tracingOf(entries: readonly TracingEntry[]): NonNullable<TelemetryRules['tracing']> {
  const last = <T>(of: (entry: TracingEntry) => T | null): T | null =>
    entries.map(of).findLast((value) => value !== null) ?? null;
  const percent = last((entry) => entry.percent);
  const reported = last((entry) => entry.reported);
  return { ...(percent !== null && { percent }), ...(reported === false && { reported }) };
}
