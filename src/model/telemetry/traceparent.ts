/** Fixed by W3C Trace Context 3.2.2: trace and span identifier. */
const TRACE_BYTES = 16;
const SPAN_BYTES = 8;
const FORM = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;

/** A W3C traceparent with fresh identifiers, not sampled. `randomBytes(n)` returns n random bytes. */
export function newTraceparent(randomBytes: (count: number) => Uint8Array): string {
  const hex = Buffer.from(randomBytes(TRACE_BYTES + SPAN_BYTES)).toString('hex');
  return `00-${hex.slice(0, TRACE_BYTES * 2)}-${hex.slice(TRACE_BYTES * 2)}-00`;
}

/** The identifiers of a traceparent, or null when it is malformed or all zeros. */
export function parseTraceparent(text: string): { traceId: string; spanId: string } | null {
  const match = FORM.exec(text);
  const [, traceId = '', spanId = ''] = match ?? [];
  if (/^0*$/.test(traceId) || /^0*$/.test(spanId)) return null;
  return { traceId, spanId };
}
