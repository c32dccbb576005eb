import { Option } from 'commander';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { readCollector, readPercent } from './option-values.ts';

/** A collector of OpenTelemetry, by its URL, and of how many requests in a hundred it hears whose callers have not decided. */
export type TraceOptions = { collector: string; percent: number };

/** Who is told. */
export function traceCollectorOption(): Option {
  return new Option(
    '--trace-collector <url>',
    'collector of OpenTelemetry (http://host:4318, or grpc://host:4317) that waypoints send the spans of traced requests to',
  )
    .env('OTEL_EXPORTER_OTLP_ENDPOINT')
    .argParser(readCollector);
}

/** Of which requests. */
export function traceSamplingOption(): Option {
  return new Option('--trace-sampling <percent>', 'so many of the requests are traced whose callers have not decided')
    .default(TELEMETRY.tracedPercent)
    .argParser(readPercent);
}

/** What the two options come to; null: nobody is told. */
export function tracesOf(collector: string | undefined, percent: number): TraceOptions | null {
  return collector === undefined ? null : { collector, percent };
}
