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
