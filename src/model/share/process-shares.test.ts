import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProcessShares, ShareNumbers } from './process-shares.ts';

/** Twenty places for four holders: one is assured to each, and fifteen are open. */
function setUp() {
  const shares = new ProcessShares(20);
  shares.holders = 4;
  return shares;
}

test('one takes what is open, and others have their assured places all the same', () => {
  const shares = setUp();
  const greedy = Array.from({ length: 40 }, () => shares.enter(1)).filter((leave) => leave !== null);
  assert.deepEqual([greedy.length, shares.heldBy(1), shares.size], [15, 15, 15]);
  assert.notEqual(shares.enter(2), null);
  assert.equal(shares.enter(2), null);
});

test('a place is given back once, and what is refused counts nowhere', () => {
  const shares = setUp();
  const leave = shares.enter(1) ?? assert.fail('refused');
  leave();
  leave();
  assert.deepEqual([shares.size, shares.heldBy(1)], [0, 0]);
  for (let n = 0; n < 16; n++) shares.enter(1);
  assert.deepEqual([shares.size, shares.heldBy(1)], [15, 15]);
});

test('whoever has the same memory counts in the same places', () => {
  const one = setUp();
  const other = new ProcessShares(20, one.memory);
  for (let n = 0; n < 10; n++) one.enter(1);
  for (let n = 0; n < 10; n++) other.enter(1);
  assert.deepEqual([one.size, other.size, other.heldBy(1), other.holders], [15, 15, 15, 4]);
});

test('a share is nobody else’s until it is given back, and until what it held has ended', () => {
  const shares = setUp();
  const numbers = new ShareNumbers(shares);
  const [first, second] = [numbers.take(), numbers.take()];
  assert.notEqual(first, second);
  const leave = shares.enter(first) ?? assert.fail('refused');
  numbers.give(first);
  assert.notEqual(numbers.take(), first);
  leave();
  assert.equal(numbers.take(), first);
});
