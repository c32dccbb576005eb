import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MultiMap } from './multi-map.ts';

test('a key has what was added and not removed, once, in the order in which it came', () => {
  const names = new MultiMap<number>();
  const of = (key: number): string[] => [...names.of(key)];
  assert.deepEqual([of(1), names.has(1)], [[], false]);
  names.add(1, 'b');
  names.add(1, 'b');
  assert.deepEqual([of(1), names.has(1)], [['b'], true]);
  names.add(1, 'a');
  names.add(1, 'c');
  names.add(2, 'x');
  assert.deepEqual([of(1), of(2)], [['b', 'a', 'c'], ['x']]);
  names.remove(1, 'a');
  names.remove(1, 'nobody');
  assert.deepEqual(of(1), ['b', 'c']);
  names.remove(1, 'b');
  assert.deepEqual(of(1), ['c']);
  names.remove(1, 'b');
  assert.deepEqual(of(1), ['c']);
  names.add(1, 'd');
  assert.deepEqual(of(1), ['c', 'd']);
  names.remove(1, 'c');
  names.remove(1, 'd');
  names.remove(3, 'x');
  assert.deepEqual([of(1), names.has(1), of(2)], [[], false, ['x']]);
});
