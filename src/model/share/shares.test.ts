import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAPS } from '#model/kernel/maps.ts';
import { hasRoom, type Leave, Shares, shareLimits } from './shares.ts';

test('S15: what is assured to all and what is open to one are together less than the table', () => {
  const capacity = MAPS.flows.entriesMax;
  for (const holders of [0, 1, 2, 10, 300, MAPS.workloads.entriesMax]) {
    const { assured, open } = shareLimits(capacity, holders);
    assert.ok(assured >= 1);
    assert.ok(open + assured * holders < capacity, `${holders} holders: ${open} + ${holders} * ${assured}`);
  }
  assert.deepEqual(shareLimits(capacity, 10), { assured: 20_971, open: 786_432 });
});

for (const [own, all, room] of [
  [0, 0, true],
  [5, 74, true],
  [74, 74, true],
  [75, 75, false],
  [4, 75, true],
  [4, 94, true],
  [5, 75, false],
] as const) {
  test(`of 100 places for 4, who holds ${own} of ${all} taken ${room ? 'may' : 'may not'} take another`, () => {
    assert.equal(hasRoom(own, all, shareLimits(100, 4)), room);
  });
}

/** Enters until refused. */
function fill(shares: Shares, holder: string): Leave[] {
  const leaves: Leave[] = [];
  for (let leave = shares.enter(holder); leave !== null; leave = shares.enter(holder)) leaves.push(leave);
  return leaves;
}

test('S15: one who takes all he can leaves to each other what is assured to it', () => {
  const shares = new Shares({ capacity: 1_000, holders: () => 10 });
  assert.equal(fill(shares, 'greedy').length, 750);
  for (let n = 1; n < 10; n++) assert.equal(fill(shares, `other-${n}`).length, 20);
  assert.equal(shares.enter('greedy'), null);
});

test('a bound of its own holds however much is free', () => {
  assert.equal(fill(new Shares({ capacity: 1_000, holders: () => 1, ownMax: 64 }), 'one').length, 64);
});

test('a place is given back once, however often that is said', () => {
  const shares = new Shares({ capacity: 10, holders: () => 1 });
  const leave = shares.enter('one');
  shares.enter('one');
  leave?.();
  leave?.();
  assert.deepEqual([shares.size, shares.heldBy('one'), shares.heldBy('other')], [1, 1, 0]);
});

test('S15: whatever comes and goes, nobody is refused below what is assured, and the places are never exceeded', () => {
  const step = fc.record({ holder: fc.constantFrom('a', 'b', 'c', 'd'), enters: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const shares = new Shares({ capacity: 60, holders: () => 4 });
      const held: Record<string, Leave[]> = { a: [], b: [], c: [], d: [] };
      for (const { holder, enters } of steps) {
        const own = held[holder] ?? [];
        if (!enters) own.pop()?.();
        else {
          const leave = shares.enter(holder);
          if (leave === null) assert.ok(own.length >= shareLimits(60, 4).assured);
          else own.push(leave);
        }
        assert.equal(shares.heldBy(holder), own.length);
        assert.ok(shares.size <= 60);
      }
    }),
  );
});
