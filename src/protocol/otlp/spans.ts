import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import type { Span } from '#model/telemetry/trace.ts';
import { ExportTraceServiceRequestSchema, ExportTraceServiceResponseSchema, type SpanSchema } from '#proto/trace_export_pb.js';

/** The method of OpenTelemetry's service. */
export const EXPORT_PATH = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

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

/** The same message in protobuf's encoding, as gRPC carries it. */
export function exportMessage(
  spans: readonly Span[],
  resource: Readonly<Record<string, string>>,
  version: string,
): Uint8Array<ArrayBuffer> {
  const scopeSpans = [{ scope: { name: 'weft', version }, spans: spans.map(messageOf) }];
  const told = { resourceSpans: [{ resource: { attributes: valuesOf(resource) }, scopeSpans }] };
  return toBinary(ExportTraceServiceRequestSchema, create(ExportTraceServiceRequestSchema, told));
}

/** How many spans an answer says were not taken; of an answer that cannot be read, none: the call itself was one that succeeded. */
export function rejectedIn(answer: Uint8Array): number {
  try {
    return Number(fromBinary(ExportTraceServiceResponseSchema, answer).partialSuccess?.rejectedSpans ?? 0n);
  } catch {
    return 0; // as the comment above says
  }
}

function messageOf({ context, name, startMs, endMs, failed, attributes }: Span): MessageInitShape<typeof SpanSchema> {
  return {
    traceId: Buffer.from(context.traceId, 'hex'),
    spanId: Buffer.from(context.spanId, 'hex'),
    parentSpanId: Buffer.from(context.parentSpanId, 'hex'),
    name,
    kind: SERVER_KIND,
    startTimeUnixNano: BigInt(nanosecondsOf(startMs)),
    endTimeUnixNano: BigInt(nanosecondsOf(endMs)),
    attributes: valuesOf(attributes),
    ...(failed ? { status: { code: ERROR_CODE } } : {}),
  };
}

function valuesOf(attributes: Readonly<Record<string, string | number>>) {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: {
      value:
        typeof value === 'number'
          ? ({ case: 'intValue', value: BigInt(value) } as const)
          : ({ case: 'stringValue', value } as const),
    },
  }));
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
