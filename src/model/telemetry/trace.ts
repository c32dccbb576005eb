import { parseTraceparent } from './propagation.ts';

/** Where a request stands in a trace: identifiers in lower-case hexadecimal digits, 32 and 16 of them. */
export type TraceContext = {
  readonly traceId: string;
  readonly spanId: string;
  /** Span of whoever called; '': the trace begins here. */
  readonly parentSpanId: string;
  readonly sampled: boolean;
};

/** The headers by which a caller tells of its trace, as they came; null: it did not send that one. */
export type TraceHeaders = {
  /** W3C Trace Context. */
  readonly traceparent: string | null;
  /** Zipkin's in one header: trace-span-sampled-parent. */
  readonly b3: string | null;
  readonly b3TraceId: string | null;
  readonly b3SpanId: string | null;
  readonly b3Sampled: string | null;
};

/** One piece of a trace that is over: what a waypoint did for a request. Times in milliseconds since the epoch. */
export type Span = {
  readonly context: TraceContext;
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  /** True: the server failed (5xx), which marks the span. */
  readonly failed: boolean;
  /** By their names; values are text or whole numbers. */
  readonly attributes: Readonly<Record<string, string | number>>;
};

const B3_SINGLE = /^([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d]))?(?:-[0-9a-f]{16})?$/;
const B3_TRACE = /^(?:[0-9a-f]{16}|[0-9a-f]{32})$/;
const B3_SPAN = /^[0-9a-f]{16}$/;
/** Fixed by W3C Trace Context 3.2.2. An identifier of Zipkin's may have half the length: it is the same number, zeros in front. */
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
const TRACE_DIGITS = 2 * TRACE_BYTES;
const SAMPLED_FLAG = 1;
/** Where in a request id it says whether somebody has decided already (Envoy): `9` sampled, `a` and `b` forced. */
const DECISION_AT = 14;
const DECIDED = '9ab';
/** Parts of a hundred by which a share is told: hundredths of a percent. */
const SHARES = 10_000;

type Caller = { readonly traceId: string; readonly spanId: string; readonly sampled: boolean | null };

/**
 * The trace of a request: its caller's if it tells of one, else a new one. Sampled: what the caller decided; else what the request
 * id says; else a share of `percent` of all, by the request id, so that every proxy on the way decides alike. `requestId` null: it says
 * nothing, and the share is one by trace id.
 * `randomBytes(n)` returns n random bytes.
 */
export function traceOf(
  headers: TraceHeaders,
  requestId: string | null,
  percent: number,
  randomBytes: (count: number) => Uint8Array,
): TraceContext {
  const caller = callerOf(headers);
  const spanId = hexOf(randomBytes(SPAN_BYTES));
  const { traceId, spanId: parentSpanId } = caller ?? { traceId: hexOf(randomBytes(TRACE_BYTES)), spanId: '' };
  const decided = caller?.sampled ?? (requestId !== null && isDecided(requestId) ? true : null);
  // The last digits of a trace id are random even where the first are a time (W3C).
  const sampled = decided ?? isInShare(requestId === null ? traceId.slice(-8) : requestId.slice(0, 8), percent);
  return { traceId, spanId, parentSpanId, sampled };
}

/** As W3C's header says it. */
export function traceparentOf({ traceId, spanId, sampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}

/** As Zipkin's one header says it. */
export function b3Of({ traceId, spanId, parentSpanId, sampled }: TraceContext): string {
  return `${traceId}-${spanId}-${sampled ? '1' : '0'}${parentSpanId === '' ? '' : `-${parentSpanId}`}`;
}

/** Whether the caller told of its trace in Zipkin's way: whoever is next may know no other. */
export function speaksB3({ b3, b3TraceId }: TraceHeaders): boolean {
  return b3 !== null || b3TraceId !== null;
}

function callerOf(headers: TraceHeaders): Caller | null {
  const { traceparent } = headers;
  const parsed = traceparent === null ? null : parseTraceparent(traceparent);
  if (traceparent !== null && parsed !== null)
    return { ...parsed, sampled: (Number.parseInt(traceparent.slice(-2), 16) & SAMPLED_FLAG) === SAMPLED_FLAG };
  return singleB3(headers.b3) ?? separateB3(headers);
}

function singleB3(text: string | null): Caller | null {
  const [, traceId, spanId, decision] = B3_SINGLE.exec(text ?? '') ?? [];
  if (traceId === undefined || spanId === undefined || isZero(traceId) || isZero(spanId)) return null;
  return { traceId: traceId.padStart(TRACE_DIGITS, '0'), spanId, sampled: decisionOf(decision) };
}

function separateB3({ b3TraceId, b3SpanId, b3Sampled }: TraceHeaders): Caller | null {
  if (b3TraceId === null || b3SpanId === null || !B3_TRACE.test(b3TraceId) || !B3_SPAN.test(b3SpanId)) return null;
  if (isZero(b3TraceId) || isZero(b3SpanId)) return null;
  return { traceId: b3TraceId.padStart(TRACE_DIGITS, '0'), spanId: b3SpanId, sampled: decisionOf(b3Sampled ?? undefined) };
}

/** `d`: by somebody who looks for a fault. */
function decisionOf(text: string | undefined): boolean | null {
  return text === undefined ? null : text !== '0' && text !== 'false';
}

function isZero(digits: string): boolean {
  return /^0+$/.test(digits);
}

function isDecided(requestId: string): boolean {
  return DECIDED.includes(requestId.charAt(DECISION_AT) || ' ');
}

function isInShare(digits: string, percent: number): boolean {
  const number = Number.parseInt(digits, 16);
  // An id that is no number says nothing of chance: those are sampled only where all are.
  return (Number.isNaN(number) ? SHARES - 1 : number % SHARES) < (percent * SHARES) / 100;
}

function hexOf({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('hex');
}
