import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { LABELS } from '../../src/model/telemetry/labels.ts';
import { METRICS, type MetricDefinition } from '../../src/model/telemetry/metrics.ts';
import { matchesGolden } from './golden.ts';
import { metricProblems, metricsDocument } from './metrics.ts';
import { filesBelow, ROOT } from './source-files.ts';

const sources = filesBelow('src', ['.ts']);
const table: Readonly<Record<string, MetricDefinition>> = METRICS;

test('docs/metrics.md says what the tables say (scripts/metrics-page.ts writes it)', () =>
  matchesGolden(join(ROOT, 'docs/metrics.md'), metricsDocument()));

test('code counts exactly what the table of metrics has', () => assert.deepEqual(metricProblems(sources), []));

test('the metrics test sees a metric without a row, and a row without a metric', () => {
  const row: MetricDefinition = { type: 'gauge', unit: 'count', help: 'Doors.', labels: [], of: ['agent'] };
  const counted = { path: 'src/node-agent/a.ts', text: "meters.counter('weft_doors_total', {});" };
  assert.deepEqual(metricProblems([counted], {}), [
    'src/node-agent/a.ts: weft_doors_total is not in src/model/telemetry/metrics.ts',
  ]);
  assert.deepEqual(metricProblems([counted], { weft_doors_total: row }), []);
  assert.deepEqual(metricProblems([], { weft_doors_total: row }), [
    'src/model/telemetry/metrics.ts: nothing counts weft_doors_total',
  ]);
});

for (const [name, { type, unit, help, labels }] of Object.entries(table)) {
  test(`${name}: named for its type and unit, told in a sentence, each label bounded`, () => {
    // The one whose name and suffix are Istio's and no exposition rule's: a gauge may end as it likes.
    assert.equal(name.endsWith('_total'), type === 'counter', 'counters, and they alone, end with _total');
    if (unit === 'bytes' || unit === 'milliseconds' || unit === 'seconds')
      assert.ok(name.includes(`_${unit}`), `name the unit ${unit}`);
    if (unit === 'timestamp') assert.match(name, /_(timestamp|time)_seconds$/);
    assert.match(help, /^[A-Z].{3,}\.$/);
    for (const label of labels) assert.ok(typeof LABELS[label].bound === 'number' || LABELS[label].bound.length > 0, label);
  });
}

test('every label belongs to a metric', () => {
  const used = new Set<string>(Object.values(table).flatMap(({ labels }) => labels));
  assert.deepEqual(
    Object.keys(LABELS).filter((label) => !used.has(label)),
    [],
  );
});
