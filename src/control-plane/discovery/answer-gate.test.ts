import assert from 'node:assert/strict';
import test from 'node:test';
import { AnswerGate } from './answer-gate.ts';

/** A gate of two places, and clients by name; `told` lists who was told to try again. */
function gateOfTwo() {
  const gate = new AnswerGate(2);
  const told: string[] = [];
  const clients = new Map<string, object>();
  const client = (name: string): object => {
    const known = clients.get(name) ?? { name };
    clients.set(name, known);
    return known;
  };
  return {
    told,
    enter: (name: string) => gate.enter(client(name), () => told.push(name)),
    leave: (name: string) => gate.leave(client(name)),
  };
}

test('as many as there are places enter, the rest is told when one leaves, in order', () => {
  const { enter, leave, told } = gateOfTwo();
  assert.deepEqual(['a', 'b', 'c', 'd'].map(enter), [true, true, false, false]);
  leave('b');
  assert.deepEqual(told, ['c']);
  leave('a');
  assert.deepEqual(told, ['c', 'd']);
});

test('one who is inside enters again without a second place', () => {
  const { enter, leave } = gateOfTwo();
  assert.deepEqual(['a', 'a', 'b', 'a', 'c', 'b'].map(enter), [true, true, true, true, false, true]);
  leave('a');
  assert.equal(enter('d'), true);
});

test('one who was told enters; until he does his place is free for whoever is quicker, and he waits again', () => {
  const { enter, leave, told } = gateOfTwo();
  for (const name of ['a', 'b', 'c']) enter(name);
  leave('a');
  assert.deepEqual(told, ['c']);
  assert.deepEqual([enter('d'), enter('c')], [true, false]);
  leave('d');
  assert.deepEqual([told, enter('c')], [['c', 'c'], true]);
});

test('one who gives up waiting is not told, and one who asks twice is told once', () => {
  const { enter, leave, told } = gateOfTwo();
  for (const name of ['a', 'b', 'c', 'd', 'd']) enter(name);
  leave('c');
  leave('a');
  leave('b');
  assert.deepEqual(told, ['d']);
});

test('leaving without a place frees none', () => {
  const { enter, leave, told } = gateOfTwo();
  for (const name of ['a', 'b', 'c']) enter(name);
  leave('x');
  assert.deepEqual([told, enter('d')], [[], false]);
});
