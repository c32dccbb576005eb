import assert from 'node:assert/strict';
import test from 'node:test';
import type { Facts } from '#model/expression/attributes.ts';
import {
  compileMetrics,
  type LabelRule,
  type MetricEntry,
  type MetricRules,
  metricRulesOf,
  RULED_METRICS,
  type RuledMetric,
  ruledLabels,
} from './metric-rules.ts';

const TOTAL = 'istio_requests_total';
const DURATION = 'istio_request_duration_milliseconds';
const ALL: readonly RuledMetric[] = Object.values(RULED_METRICS);

function entry(metrics: readonly RuledMetric[], disabled: boolean | null, ...labels: LabelRule[]): MetricEntry {
  return { sides: ['client', 'server'], metrics, disabled, labels };
}

const removed = (tag: string): LabelRule => ({ tag, value: null });
const set = (tag: string, value: string): LabelRule => ({ tag, value });
const without = (but: string): MetricRules =>
  Object.fromEntries(ALL.flatMap((metric) => (metric === but ? [] : [[metric, false]])));

const CASES: { name: string; entries: MetricEntry[]; want: MetricRules }[] = [
  { name: 'nothing', entries: [], want: {} },
  { name: 'an entry that changes nothing', entries: [entry(ALL, false)], want: {} },
  { name: 'all are left out', entries: [entry(ALL, true)], want: without('') },
  { name: 'all but one', entries: [entry(ALL, true), entry([TOTAL], false)], want: without(TOTAL) },
  {
    name: 'labels do not bring one back',
    entries: [entry([TOTAL], true), entry([TOTAL], null, removed('a'))],
    want: { [TOTAL]: false },
  },
  {
    name: 'labels of one that is back',
    entries: [entry([TOTAL], null, removed('a')), entry([TOTAL], true), entry([TOTAL], false)],
    want: { [TOTAL]: [removed('a')] },
  },
  {
    name: 'of each label the last counts',
    entries: [entry([TOTAL, DURATION], null, removed('a'), set('b', 'x')), entry([TOTAL], null, set('a', 'y'))],
    want: { [TOTAL]: [set('a', 'y'), set('b', 'x')], [DURATION]: [removed('a'), set('b', 'x')] },
  },
  { name: 'the side of clients', entries: [{ ...entry(ALL, true), sides: ['client'] }], want: {} },
];
for (const { name, entries, want } of CASES)
  test(`config-api 5.1: metrics: ${name}`, () => assert.deepEqual(metricRulesOf(entries, 'server'), want));

test('config-api 5.1: labels are evaluated: what is missing is unknown, what is long is cut, what cannot be used is told', () => {
  const problems: string[] = [];
  const rules = compileMetrics(
    {
      [TOTAL]: [
        removed('gone'),
        set('code', 'response.code'),
        set('grpc', 'response.grpc_status'),
        set('long', 'request.path'),
        set('bad', 'request.headers'),
      ],
      [DURATION]: false,
    },
    (why) => problems.push(why),
  );
  assert.ok(rules !== null);
  const values = { 'response.code': 200, 'request.path': 'p'.repeat(1_000) } as const;
  const facts: Facts = { attribute: (name) => (values as Record<string, string | number>)[name], header: () => undefined };
  const ruled = ruledLabels(rules, facts);
  assert.deepEqual(ruled.of(TOTAL), { gone: '', code: '200', grpc: 'unknown', long: 'p'.repeat(512) });
  assert.deepEqual([ruled.of(DURATION), ruled.of('istio_tcp_sent_bytes_total')], [false, undefined]);
  assert.equal(problems.length, 1);
  assert.notEqual(ruledLabels(rules, { ...facts, attribute: () => 'other' }).key, ruled.key);
  assert.equal(compileMetrics(undefined, assert.fail), null);
});
