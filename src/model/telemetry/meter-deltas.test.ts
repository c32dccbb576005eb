import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addDeltas, MeterDeltas } from './meter-deltas.ts';
import { Meters } from './meters.ts';

test('what a thread counted is added once, whoever counts the same beside it', () => {
  const [page, one, two] = [new Meters('agent'), new Meters('agent'), new Meters('agent')];
  const [fromOne, fromTwo] = [new MeterDeltas(one), new MeterDeltas(two)];
  const denied = { reporter: 'source', cause: 'policy' } as const;
  one.counter('weft_refusals_total', denied).add(2);
  two.counter('weft_refusals_total', denied).add(3);
  page.counter('weft_refusals_total', denied).add();
  for (const deltas of [fromOne, fromTwo, fromOne]) addDeltas(page, deltas.take());
  assert.equal(page.counter('weft_refusals_total', denied).value, 6);
  one.counter('weft_refusals_total', denied).add();
  assert.deepEqual(fromOne.take(), [{ name: 'weft_refusals_total', labels: denied, add: 1 }]);
  assert.deepEqual(fromOne.take(), []);
});

test('a distribution of a thread is added by bucket, once', () => {
  const [page, one, two] = [new Meters('waypoint'), new Meters('waypoint'), new Meters('waypoint')];
  const [fromOne, fromTwo] = [new MeterDeltas(one), new MeterDeltas(two)];
  const name = 'istio_request_duration_milliseconds';
  const labels = { reporter: 'waypoint', response_code: '200' };
  const of = (meters: Meters) => meters.histogram(name, labels as never);
  of(one).observe(1);
  of(one).observe(30);
  of(two).observe(1);
  for (const deltas of [fromOne, fromTwo, fromOne]) addDeltas(page, deltas.take());
  of(one).observe(1e9);
  for (const deltas of [fromOne, fromTwo]) addDeltas(page, deltas.take());
  const expected = new Meters('waypoint');
  for (const value of [1, 30, 1, 1e9]) of(expected).observe(value);
  assert.deepEqual([of(page).counts, of(page).sum], [of(expected).counts, of(expected).sum]);
});
