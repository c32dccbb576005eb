import assert from 'node:assert/strict';
import test from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { SharedValues } from './shared-values.ts';

function documentOf(name: string) {
  return {
    name,
    labels: { app: 'cart', tier: 'back' },
    locality: { region: 'eu', zone: '' },
    problems: [] as string[],
    list: ['a', 1],
  };
}

test('equal labels, lists and localities of two documents are one afterwards, and the documents are not', () => {
  const shared = new SharedValues();
  const [one, other] = [documentOf('one'), documentOf('other')];
  shared.below(one);
  shared.below(other);
  assert.equal(one.labels, other.labels);
  assert.equal(one.locality, other.locality);
  assert.equal(one.problems, other.problems);
  assert.equal(one.list, other.list);
  assert.deepEqual(other, documentOf('other'));
});

test('whatever lies below a value, it says the same afterwards, however much came before', () => {
  const shared = new SharedValues();
  const anything = fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 4 }), { noNullPrototype: true });
  fc.assert(
    fc.property(anything, (value) => {
      const before = structuredClone(value);
      shared.below(value);
      assert.deepStrictEqual(value, before);
    }),
    { numRuns: 500 },
  );
});

test('what JSON says alike is not taken for alike: undefined, -0, NaN, dates and maps', () => {
  const shared = new SharedValues();
  const values = [{ a: undefined }, {}, [-0], [0], [Number.NaN], [null], { at: new Date(0) }, { map: new Map([[1, 2]]) }];
  for (const value of [...values, ...values]) {
    const holder = { value: structuredClone(value) };
    shared.below(holder);
    assert.deepStrictEqual(holder.value, value);
  }
});

test('what was not seen for long is forgotten', () => {
  const shared = new SharedValues();
  const first = documentOf('first');
  shared.below(first);
  for (let at = 0; at < 40_000; at++) shared.below({ labels: { app: `app-${at}` } });
  const last = documentOf('last');
  shared.below(last);
  assert.notEqual(last.labels, first.labels);
});

test('equal texts take the memory of one afterwards', () => {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  const shared = new SharedValues();
  // A text that came from elsewhere is a copy of its own: some 70 bytes.
  const values = Array.from({ length: 50_000 }, () => ({ text: Buffer.from('x'.repeat(50)).toString() }));
  collect();
  const before = process.memoryUsage().heapUsed;
  for (const value of values) shared.below(value);
  collect();
  const freedMb = (before - process.memoryUsage().heapUsed) / 1e6;
  assert.ok(freedMb > 2, `${freedMb} MB of some 3`);
  assert.equal(values.at(-1)?.text, 'x'.repeat(50));
});
