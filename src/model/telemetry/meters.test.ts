import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LABELS, OVERFLOW, UNKNOWN } from './labels.ts';
import { Distribution, Meters, type MetricFamily } from './meters.ts';
import { METRICS, type MetricName } from './metrics.ts';

function family(meters: Meters, name: MetricName): MetricFamily {
  const found = meters.collect().find((one) => one.name === name);
  assert.ok(found, name);
  return found;
}

test('the same labels are the same series, in whatever order they are given', () => {
  const meters = new Meters('agent');
  meters.counter('weft_refusals_total', { reporter: 'source', cause: 'policy' }).add();
  meters.counter('weft_refusals_total', { cause: 'policy', reporter: 'source' }).add(2);
  meters.counter('weft_refusals_total', { reporter: 'destination', cause: 'policy' }).add();
  assert.deepEqual(family(meters, 'weft_refusals_total').series, [
    { labels: { reporter: 'source', cause: 'policy' }, value: 3 },
    { labels: { reporter: 'destination', cause: 'policy' }, value: 1 },
  ]);
  assert.equal(meters.total('weft_refusals_total'), 4);
});

test('a label that is left out says unknown', () => {
  const meters = new Meters('agent');
  meters.counter('istio_tcp_connections_opened_total', { reporter: 'source' }).add();
  assert.equal(family(meters, 'istio_tcp_connections_opened_total').series[0]?.labels.source_workload, UNKNOWN);
});

test('a page has the metrics of its process only, in the order of the table', () => {
  const names = new Meters('waypoint').collect().map(({ name }) => name);
  assert.ok(names.includes('istio_requests_total') && !names.includes('weft_verdicts'));
  assert.deepEqual(
    names,
    Object.keys(METRICS).filter((name) => names.includes(name as MetricName)),
  );
});

test('an open label has no more values than its bound: the rest is counted as overflow, and told', () => {
  const meters = new Meters('agent');
  const { bound } = LABELS.policy;
  for (let at = 0; at < bound + 5; at++)
    meters.counter('weft_dry_run_decisions_total', { policy: `shop/p${at}`, decision: 'deny', layer: 'pair' }).add();
  const { series } = family(meters, 'weft_dry_run_decisions_total');
  assert.equal(series.length, bound + 1);
  assert.deepEqual(series.at(-1), { labels: { policy: OVERFLOW, decision: 'deny', layer: 'pair' }, value: 5 });
  assert.equal(meters.total('weft_dry_run_decisions_total'), bound + 5, 'nothing is dropped');
  assert.equal(meters.total('weft_metrics_overflow_total'), 5);
});

test('a closed label has no value that is not in its list', () => {
  const meters = new Meters('agent');
  meters.counter('weft_dns_failures_total', { why: 'moon', request_protocol: 'udp' }).add();
  assert.equal(family(meters, 'weft_dns_failures_total').series[0]?.labels.why, OVERFLOW);
});

test('a metric has no more series than its bound; closed labels still tell what overflows', () => {
  const meters = new Meters('agent', 3);
  for (const policy of ['a', 'b', 'c', 'd', 'e'])
    for (const decision of ['allow', 'deny'])
      meters.counter('weft_dry_run_decisions_total', { policy, decision, layer: 'pair' }).add();
  const { series } = family(meters, 'weft_dry_run_decisions_total');
  assert.equal(series.length, 5, 'the bound, and one overflow series for each decision');
  assert.equal(
    series.reduce((sum, { value }) => sum + Number(value), 0),
    10,
  );
});

test('readings beyond a bound are one series: a page never has the same labels twice', () => {
  const meters = new Meters('agent');
  meters.read('weft_kernel_connections_total', () => [
    { labels: { path: 'direct' }, value: 1 },
    { labels: { path: 'odd' }, value: 2 },
    { labels: { path: 'strange' }, value: 3 },
  ]);
  assert.deepEqual(family(meters, 'weft_kernel_connections_total').series, [
    { labels: { path: 'direct' }, value: 1 },
    { labels: { path: OVERFLOW }, value: 5 },
  ]);
});

test('a value is counted in the first bucket that holds it, and in none beyond the last bound', () => {
  const distribution = new Distribution([1, 5, 10]);
  for (const value of [0, 1, 1.5, 5, 10, 11]) distribution.observe(value);
  assert.deepEqual([distribution.counts, distribution.sum], [[2, 2, 1, 1], 28.5]);
});

test('config-api 5.1: labels that a Telemetry adds are told apart by name, and bounded in their values', () => {
  const meters = new Meters('waypoint');
  const labels = { reporter: 'waypoint' } as const;
  meters.counter('istio_requests_total', labels, { a: 'x' }).add();
  meters.counter('istio_requests_total', labels, { b: 'x' }).add(2);
  meters.counter('istio_requests_total', labels, { b: 'x', a: 'x' }).add(3);
  meters.counter('istio_requests_total', labels, { a: 'x', b: 'x' }).add(3);
  // A name of another metric's label, whose values are of a list there.
  meters.counter('istio_requests_total', labels, { path: '/a' }).add(4);
  meters.counter('istio_requests_total', labels, { a: '' }).add(5);
  const shown = () => meters.collect().find(({ name }) => name === 'istio_requests_total')?.series ?? [];
  assert.deepEqual(
    shown().map(({ labels: { a, b, path }, value }) => [a, b, path, value]),
    [
      ['x', undefined, undefined, 1],
      [undefined, 'x', undefined, 2],
      ['x', 'x', undefined, 6],
      [undefined, undefined, '/a', 4],
      [undefined, undefined, undefined, 5],
    ],
  );
  for (let at = 0; at < 2_000; at++) meters.counter('istio_requests_total', labels, { many: String(at) }).add();
  const many = shown().flatMap(({ labels: of, value }) => (of.many === undefined ? [] : [[of.many, value]]));
  assert.deepEqual([many.length, many.at(-1)], [1_001, ['overflow', 1_000]]);
});
