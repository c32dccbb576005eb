import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOST } from '#model/settings/host.ts';
import { pooledRandomBytes } from './random.ts';

/** Fills with numbers that count up, and remembers what it filled. */
function counted() {
  let next = 1;
  const filled: Buffer[] = [];
  const fill = (into: Buffer): void => {
    filled.push(into);
    for (let at = 0; at < into.length; at++) into[at] = next++ & 0xff;
  };
  return { filled, draw: pooledRandomBytes(fill) };
}

test('each random byte is given out once, and is erased in the pool', () => {
  const { filled, draw } = counted();
  assert.deepEqual([...draw(4)], [1, 2, 3, 4]);
  assert.deepEqual([...draw(3)], [5, 6, 7]);
  assert.deepEqual([...(filled[0]?.subarray(0, 8) ?? [])], [0, 0, 0, 0, 0, 0, 0, 8]);
});

test('what was given out stays as it is, and a pool that cannot give enough is filled anew', () => {
  const { filled, draw } = counted();
  const first = draw(24);
  const kept = [...first];
  for (let drawn = 24; drawn + 24 <= HOST.randomPoolBytes; drawn += 24) draw(24);
  assert.equal(filled.length, 1);
  const next = draw(24);
  assert.equal(filled.length, 2);
  assert.notDeepEqual([...next], new Array(24).fill(0));
  assert.deepEqual([...first], kept);
});

test('more than the pool holds is drawn for itself', () => {
  const { filled, draw } = counted();
  assert.equal(draw(HOST.randomPoolBytes + 1).length, HOST.randomPoolBytes + 1);
  assert.equal(filled.length, 1);
});

test('the system fills it with what differs', () => {
  const draw = pooledRandomBytes();
  assert.notDeepEqual(draw(16), draw(16));
});
