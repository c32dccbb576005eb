import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Span } from '#model/telemetry/trace.ts';
import { exportRequest } from './spans.ts';

const SPAN: Span = {
  context: { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', parentSpanId: '', sampled: true },
  name: 'cart.shop.svc.cluster.local:80/*',
  startMs: 1_700_000_000_000.25,
  endMs: 1_700_000_000_012.5,
  failed: false,
  attributes: { 'http.method': 'GET', 'http.status_code': 200 },
};

test('a span in OTLP’s JSON: ids as they are written in headers, nanoseconds and numbers as text, a server’s kind', () => {
  const { resourceSpans } = JSON.parse(exportRequest([SPAN], { 'service.name': 'waypoint.shop' }, '1.2'));
  assert.deepEqual(resourceSpans[0].resource.attributes, [{ key: 'service.name', value: { stringValue: 'waypoint.shop' } }]);
  const [{ scope, spans }] = resourceSpans[0].scopeSpans;
  assert.deepEqual(scope, { name: 'weft', version: '1.2' });
  assert.deepEqual(spans, [
    {
      traceId: SPAN.context.traceId,
      spanId: SPAN.context.spanId,
      name: SPAN.name,
      kind: 2,
      startTimeUnixNano: '1700000000000250000',
      endTimeUnixNano: '1700000000012500000',
      attributes: [
        { key: 'http.method', value: { stringValue: 'GET' } },
        { key: 'http.status_code', value: { intValue: '200' } },
      ],
    },
  ]);
});

test('a parent and a failure are told where there are some', () => {
  const failed = { ...SPAN, failed: true, context: { ...SPAN.context, parentSpanId: 'b7ad6b7169203331' } };
  const [span] = JSON.parse(exportRequest([failed], {}, '1')).resourceSpans[0].scopeSpans[0].spans;
  assert.deepEqual([span.parentSpanId, span.status], ['b7ad6b7169203331', { code: 2 }]);
});
