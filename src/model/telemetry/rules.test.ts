import assert from 'node:assert/strict';
import test from 'node:test';
import type { MetricEntry, Side } from './metric-rules.ts';
import { type LogEntry, rulesOf, type SpanTag, type TelemetryRules, type TelemetrySpec, type TracingEntry } from './rules.ts';

const BOTH: readonly Side[] = ['client', 'server'];

function log(disabled: boolean, sides = BOTH, filter: string | null = null): LogEntry {
  return { disabled, sides, filter };
}

function tracing(change: Partial<TracingEntry>): TracingEntry {
  return {
    ...{ sides: BOTH, percent: null, reported: null, tags: null, istioTags: null, byRequestId: null, propagated: null },
    ...change,
  };
}

function spec(accessLog: LogEntry[], ofTracing: TracingEntry | null = null, metrics: MetricEntry[] = []): TelemetrySpec {
  return { accessLog, tracing: ofTracing, metrics };
}

function tag(name: string): SpanTag {
  return { tag: name, from: 'literal', name: 'x', otherwise: null };
}

const CASES: { name: string; specs: TelemetrySpec[]; want: TelemetryRules }[] = [
  { name: 'nobody says anything', specs: [], want: {} },
  { name: 'one without sections', specs: [spec([])], want: {} },
  { name: 'the mesh has no log', specs: [spec([log(true)])], want: { accessLog: false } },
  { name: 'a namespace has one again', specs: [spec([log(true)]), spec([log(false)])], want: {} },
  { name: 'a service has none', specs: [spec([log(false)]), spec([]), spec([log(true)])], want: { accessLog: false } },
  { name: 'the last entry of one counts', specs: [spec([log(true), log(false)])], want: {} },
  { name: 'clients have no log', specs: [spec([log(true, ['client'])])], want: {} },
  {
    name: 'the other side has one again',
    specs: [spec([log(true)]), spec([log(false, ['client'])])],
    want: { accessLog: false },
  },
  {
    name: 'sections are inherited apart',
    specs: [spec([log(true)]), spec([], tracing({ percent: 5 }))],
    want: { accessLog: false, tracing: { percent: 5 } },
  },
  {
    name: 'values of tracing are inherited apart',
    specs: [spec([], tracing({ percent: 5, reported: false })), spec([], tracing({ percent: 0 }))],
    want: { tracing: { percent: 0, reported: false } },
  },
  {
    name: 'spans are reported again',
    specs: [spec([], tracing({ reported: false })), spec([], tracing({ reported: true }))],
    want: {},
  },
  { name: 'a filter', specs: [spec([log(false, BOTH, 'a')])], want: { accessLog: { filter: 'a' } } },
  {
    name: 'a narrower filter goes before',
    specs: [spec([log(true)]), spec([log(false, BOTH, 'a')]), spec([log(false, BOTH, 'b')])],
    want: { accessLog: { filter: 'b' } },
  },
  { name: 'a narrower entry without filter asks for all', specs: [spec([log(false, BOTH, 'a')]), spec([log(false)])], want: {} },
  {
    name: 'tags are replaced as one',
    specs: [spec([], tracing({ tags: [tag('a'), tag('b')] })), spec([], tracing({ tags: [tag('c')] }))],
    want: { tracing: { tags: [tag('c')] } },
  },
  {
    name: 'no tags take those of a wider one away',
    specs: [spec([], tracing({ tags: [tag('a')] })), spec([], tracing({ tags: [] }))],
    want: {},
  },
  {
    name: 'each switch for itself',
    specs: [
      spec([], tracing({ istioTags: false, byRequestId: false, propagated: false })),
      spec([], tracing({ istioTags: true })),
    ],
    want: { tracing: { byRequestId: false, propagated: false } },
  },
  { name: 'clients are traced otherwise', specs: [spec([], tracing({ sides: ['client'], percent: 5 }))], want: {} },
];
for (const { name, specs, want } of CASES)
  test(`config-api 5.1: ${name}`, () => assert.deepEqual(rulesOf(specs, 'server'), want));
