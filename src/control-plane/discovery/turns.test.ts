import assert from 'node:assert/strict';
import test from 'node:test';
import { SteppedClock } from '#platform/stepped-clock.testing.ts';
import { Turns, type TurnTaker } from './turns.ts';

test('takers work in turn, piece by piece, and a round ends when its time is used up', () => {
  let nowMs = 0;
  const stepped = new SteppedClock();
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => nowMs,
    after: stepped.after.bind(stepped),
    every: stepped.every.bind(stepped),
  };
  const turns = new Turns(clock, 10);
  const done: string[] = [];
  const taker = (name: string, pieces: number): TurnTaker => {
    let left = pieces;
    const one: TurnTaker = {
      takeTurn() {
        nowMs += 4;
        done.push(name);
        if (--left > 0) turns.want(one);
      },
    };
    return one;
  };
  const [a, b] = [taker('a', 3), taker('b', 2)];
  turns.want(a);
  turns.want(b);
  turns.want(a);
  turns.run();
  assert.deepEqual(done, ['a', 'b', 'a']);
  stepped.advance(1);
  assert.deepEqual(done, ['a', 'b', 'a', 'b', 'a']);
  stepped.advance(10);
  assert.equal(done.length, 5);
});

test('a mistake of one taker costs no other its turn', () => {
  const clock = new SteppedClock();
  const turns = new Turns(clock, 10);
  let served = 0;
  turns.want({ takeTurn: () => assert.fail('planted') });
  turns.want({ takeTurn: () => void served++ });
  assert.throws(() => turns.run(), /planted/);
  clock.advance(1);
  assert.equal(served, 1);
});
