import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { HashedIndex } from '#protocol/xds/hashed-index.ts';

test('what was added under a word is found under it, until it is removed', () => {
  const index = new HashedIndex();
  index.add('a', 0);
  index.add('a', 7);
  index.add('b', 7);
  assert.deepEqual(index.at('a').sort(), [0, 7]);
  assert.ok(index.remove('a', 7));
  assert.deepEqual([index.at('a'), index.at('b'), index.size], [[0], [7], 2]);
  assert.equal(index.remove('a', 7), false);
});

test('any order of additions and removals leaves what a map would hold', () => {
  const step = fc.record({ word: fc.nat({ max: 400 }), value: fc.nat({ max: 3 }), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6_000, size: 'max' }), (steps) => {
      const [index, model] = [new HashedIndex(), new Map<string, Set<number>>()];
      for (const { word, value, adds } of steps) {
        const key = `word ${word}`;
        const known = model.get(key) ?? new Set();
        model.set(key, known);
        if (adds && !known.has(value)) {
          known.add(value);
          index.add(key, value);
        } else if (!adds) assert.equal(index.remove(key, value), known.delete(value));
      }
      for (const [key, values] of model) assert.deepEqual(new Set(index.at(key)), values);
      assert.equal(
        index.size,
        [...model.values()].reduce((sum, { size }) => sum + size, 0),
      );
    }),
    { numRuns: 20 },
  );
});

test('a hundred thousand words are found, few of them with another one', () => {
  const index = new HashedIndex();
  for (let at = 0; at < 100_000; at++) index.add(`/10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`, at);
  let candidates = 0;
  for (let at = 0; at < 100_000; at += 7) {
    const found = index.at(`/10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`);
    assert.ok(found.includes(at));
    candidates += found.length;
  }
  assert.ok(candidates < (100_000 / 7) * 1.01, `${candidates}`);
});
