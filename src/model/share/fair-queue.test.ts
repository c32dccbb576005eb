import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FairQueue } from './fair-queue.ts';

function takeAll(queue: FairQueue<string>): string[] {
  const taken: string[] = [];
  for (let item = queue.take(); item !== null; item = queue.take()) taken.push(item);
  return taken;
}

test('what one owner has waiting comes in its order', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3']) queue.add('a', item);
  assert.equal(queue.size, 3);
  assert.deepEqual(takeAll(queue), ['a1', 'a2', 'a3']);
  assert.equal(queue.size, 0);
});

test('owners take turns, however much one of them has waiting and whenever the other came', () => {
  const queue = new FairQueue<string>();
  for (const item of ['a1', 'a2', 'a3', 'a4']) queue.add('a', item);
  assert.equal(queue.take(), 'a1');
  queue.add('b', 'b1');
  queue.add('b', 'b2');
  assert.deepEqual(takeAll(queue), ['a2', 'b1', 'a3', 'b2', 'a4']);
});

test('an owner that was served to the end comes again as any other', () => {
  const queue = new FairQueue<string>();
  queue.add('a', 'a1');
  assert.equal(queue.take(), 'a1');
  assert.equal(queue.take(), null);
  queue.add('b', 'b1');
  queue.add('a', 'a2');
  assert.deepEqual(takeAll(queue), ['b1', 'a2']);
});
