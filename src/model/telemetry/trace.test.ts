import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { b3Of, speaksB3, type TraceHeaders, traceOf, traceparentOf } from './trace.ts';

const NONE: TraceHeaders = { traceparent: null, b3: null, b3TraceId: null, b3SpanId: null, b3Sampled: null };
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const ID = '00000001-0000-4000-8000-000000000000';

let next = 0;
const counted = (count: number): Uint8Array => new Uint8Array(count).fill(++next);
const of = (headers: Partial<TraceHeaders>, requestId = ID, percent = 0) =>
  traceOf({ ...NONE, ...headers }, requestId, percent, counted);

test('W71: the caller’s trace goes on: its trace id, its span as parent, its decision, a span id of our own', () => {
  for (const [flags, sampled] of [
    ['01', true],
    ['00', false],
    ['03', true],
  ] as const) {
    const told = of({ traceparent: `00-${TRACE}-${SPAN}-${flags}` }, ID, sampled ? 0 : 100);
    assert.deepEqual([told.traceId, told.parentSpanId, told.sampled], [TRACE, SPAN, sampled]);
    assert.notEqual(told.spanId, SPAN);
    assert.equal(traceparentOf(told), `00-${TRACE}-${told.spanId}-${sampled ? '01' : '00'}`);
  }
});

test('W71: so does one told in Zipkin’s way, in one header or in several; short ids are the same number', () => {
  const short = TRACE.slice(16);
  const cases: [Partial<TraceHeaders>, string, boolean | null][] = [
    [{ b3: `${TRACE}-${SPAN}-1` }, TRACE, true],
    [{ b3: `${TRACE}-${SPAN}-d-${SPAN}` }, TRACE, true],
    [{ b3: `${short}-${SPAN}-0` }, `${'0'.repeat(16)}${short}`, false],
    [{ b3: `${TRACE}-${SPAN}` }, TRACE, null],
    [{ b3TraceId: TRACE, b3SpanId: SPAN, b3Sampled: '1' }, TRACE, true],
    [{ b3TraceId: TRACE, b3SpanId: SPAN, b3Sampled: '0' }, TRACE, false],
    [{ b3TraceId: short, b3SpanId: SPAN }, `${'0'.repeat(16)}${short}`, null],
  ];
  for (const [headers, traceId, sampled] of cases) {
    const told = of(headers);
    assert.deepEqual([told.traceId, told.parentSpanId, told.sampled], [traceId, SPAN, sampled ?? false]);
    assert.equal(of(headers, ID, 100).sampled, sampled ?? true); // nobody has decided: it is ours to
    assert.equal(speaksB3({ ...NONE, ...headers }), true);
    assert.equal(b3Of(told), `${traceId}-${told.spanId}-${sampled === true ? 1 : 0}-${SPAN}`);
  }
});

test('W3C’s header goes before Zipkin’s', () => {
  const told = of({ traceparent: `00-${TRACE}-${SPAN}-01`, b3: `${'1'.repeat(32)}-${SPAN}-0` });
  assert.deepEqual([told.traceId, told.sampled], [TRACE, true]);
});

test('what is malformed, or all zeros, tells of no trace: a new one begins', () => {
  for (const headers of [
    {},
    { traceparent: 'nonsense' },
    { traceparent: `00-${'0'.repeat(32)}-${SPAN}-01` },
    { b3: `${TRACE}-${'0'.repeat(16)}-1` },
    { b3: '0' },
    { b3TraceId: TRACE },
    { b3TraceId: 'x', b3SpanId: SPAN },
  ]) {
    const told = of(headers);
    assert.match(told.traceId, /^[0-9a-f]{32}$/);
    assert.notEqual(told.traceId, TRACE);
    assert.deepEqual([told.parentSpanId, told.sampled], ['', false]);
  }
});

test('without a decision of the caller the request id decides: forced by its fourteenth digit, else by share', () => {
  const forced = (digit: string) => of({}, `ffffffff-0000-${digit}000-8000-000000000000`, 0).sampled;
  assert.deepEqual(['4', '9', 'a', 'b'].map(forced), [false, true, true, true]);
  assert.equal(of({}, 'mine', 99).sampled, false);
  assert.equal(of({}, 'mine', 100).sampled, true);
  assert.equal(of({}, '', 100).sampled, true);
});

test('W72: one percent of 100,000 random request ids, within a tenth; the same id is decided alike again', () => {
  const ids = Array.from({ length: 100_000 }, () => `${randomBytes(4).toString('hex')}-0000-4000-8000-000000000000`);
  const sampled = ids.filter((id) => of({}, id, 1).sampled);
  // Of 1,000 the standard deviation is 31: four of them, so that chance alone does not fail it.
  assert.ok(sampled.length > 874 && sampled.length < 1_126, String(sampled.length));
  for (const id of sampled) assert.equal(of({}, id, 1).sampled, true);
});

test('config-api 5.1: without the request id the trace id decides, by its last digits, and no id forces it', () => {
  const byTrace = (percent: number) =>
    Array.from({ length: 20_000 }, () => traceOf(NONE, null, percent, randomBytes)).filter(({ sampled }) => sampled).length;
  assert.deepEqual([byTrace(0), byTrace(100)], [0, 20_000]);
  const tenth = byTrace(10);
  // Of 2,000 the standard deviation is 42: five of them.
  assert.ok(tenth > 1_790 && tenth < 2_210, String(tenth));
});
