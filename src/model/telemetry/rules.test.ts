import assert from 'node:assert/strict';
import test from 'node:test';
import { type LogEntry, rulesOf, type Side, type TelemetryRules, type TelemetrySpec, type TracingEntry } from './rules.ts';

const BOTH: readonly Side[] = ['client', 'server'];

function log(disabled: boolean, sides = BOTH): LogEntry {
  return { disabled, sides };
}

function tracing(change: Partial<TracingEntry>): TracingEntry {
  return { sides: BOTH, percent: null, reported: null, ...change };
}

function spec(accessLog: LogEntry[], ofTracing: TracingEntry | null = null): TelemetrySpec {
  return { accessLog, tracing: ofTracing };
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
  { name: 'clients are traced otherwise', specs: [spec([], tracing({ sides: ['client'], percent: 5 }))], want: {} },
];
for (const { name, specs, want } of CASES)
  test(`config-api 5.1: ${name}`, () => assert.deepEqual(rulesOf(specs, 'server'), want));
