import type { Span } from '#model/telemetry/trace.ts';

/** Fixed by OpenTelemetry's trace.proto: SPAN_KIND_SERVER, STATUS_CODE_ERROR. */
const SERVER_KIND = 2;
const ERROR_CODE = 2;
/** Of a millisecond. */
const NANOSECONDS = 1_000_000n;
/** Of which whole nanoseconds are made, so that fractions of a millisecond are kept. */
const MICROSECONDS = 1_000;

/** An ExportTraceServiceRequest in OTLP's JSON encoding (ids in hexadecimal, 64-bit numbers as text). `resource`: who tells. */
export function exportRequest(spans: readonly Span[], resource: Readonly<Record<string, string>>, version: string): string {
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: attributesOf(resource) },
        scopeSpans: [{ scope: { name: 'weft', version }, spans: spans.map(spanOf) }],
      },
    ],
  });
}

function spanOf({ context, name, startMs, endMs, failed, attributes }: Span): object {
  const { traceId, spanId, parentSpanId } = context;
  return {
    ...{ traceId, spanId },
    ...(parentSpanId === '' ? {} : { parentSpanId }),
    name,
    kind: SERVER_KIND,
    startTimeUnixNano: nanosecondsOf(startMs),
    endTimeUnixNano: nanosecondsOf(endMs),
    attributes: attributesOf(attributes),
    ...(failed ? { status: { code: ERROR_CODE } } : {}),
  };
}

function attributesOf(attributes: Readonly<Record<string, string | number>>): object[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: String(value) } : { stringValue: value },
  }));
}

function nanosecondsOf(ms: number): string {
  return String((BigInt(Math.round(ms * MICROSECONDS)) * NANOSECONDS) / BigInt(MICROSECONDS));
}
