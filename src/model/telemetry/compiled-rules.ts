import type { Facts } from '#model/expression/attributes.ts';
import { compileFilter } from '#model/expression/expression.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { type CompiledMetrics, compileMetrics, dependOnRequest } from './metric-rules.ts';
import type { SpanTag, TelemetryRules, TracingRules } from './rules.ts';

/** What is told of requests and connections, ready to be asked for each of them. */
export type CompiledRules = {
  /** Which of them have a line in the access log; null: all. */
  readonly logged: ((facts: Facts) => boolean) | null;
  readonly tracing: TracingRules;
  /** Null: all is counted as by default. */
  readonly metrics: CompiledMetrics | null;
  /** Whether what is counted of a request depends on the request itself, and not only on who sent it where and how it ended. */
  readonly metricsVary: boolean;
};

/** All is told as it is by default. */
export const DEFAULT_RULES: CompiledRules = { logged: null, tracing: {}, metrics: null, metricsVary: false };

/** What cannot be used is reported through `problem`, and leaves out no line: whoever reads a log must be able to rely on it. */
export function compileRules(rules: TelemetryRules | undefined, problem: (why: string) => void): CompiledRules {
  if (rules === undefined) return DEFAULT_RULES;
  const metrics = compileMetrics(rules.metrics, problem);
  const metricsVary = dependOnRequest(rules.metrics);
  return { logged: loggedBy(rules.accessLog, problem), tracing: rules.tracing ?? {}, metrics, metricsVary };
}

function loggedBy(log: TelemetryRules['accessLog'], problem: (why: string) => void): CompiledRules['logged'] {
  if (log === undefined) return null;
  if (log === false) return () => false;
  const outcome = compileFilter(log.filter);
  if (outcome.kind === 'refused') {
    problem(`a filter of the access log cannot be used: ${outcome.why}`);
    return null;
  }
  const { expression } = outcome;
  // What lacks something that the filter asks about does not hold it (CEL: an error, which Envoy takes for false).
  return (facts) => expression.of(facts) === true;
}

/** A tag with its value for one span; null: it has none. Cut, since a client chooses its headers. */
export function tagOf(
  { from, name, otherwise }: SpanTag,
  header: (name: string) => string | null,
  variable: (name: string) => string | null,
): string | null {
  const found = from === 'literal' ? name : from === 'header' ? header(name) : variable(name);
  return (found ?? otherwise)?.slice(0, TELEMETRY.logValueCharsMax) ?? null;
}
