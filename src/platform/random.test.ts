import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HOST } from '#model/settings/host.ts';
import { pooledRandomBytes, pooledUuids } from './random.ts';

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

test('a UUID is of version 4, shows its sixteen bytes in order, and no two are alike', () => {
  const draw = pooledUuids((into) => {
    for (let at = 0; at < into.length; at++) into[at] = at & 0xff;
  });
  assert.equal(draw(), '00010203-0405-4607-8809-0a0b0c0d0e0f');
  assert.equal(draw(), '10111213-1415-4617-9819-1a1b1c1d1e1f');
  const real = pooledUuids();
  const drawn = Array.from({ length: 3 * (HOST.randomPoolBytes / 16) }, () => real());
  assert.equal(new Set(drawn).size, drawn.length);
  for (const uuid of drawn) assert.match(uuid, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
