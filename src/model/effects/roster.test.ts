import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Roster, type Rostered } from './roster.ts';

type Member = Rostered & { name: number };

test('a roster holds what was added and not removed, whatever the order', () => {
  const roster = new Roster<Member>();
  const members = Array.from({ length: 50 }, (_, name): Member => ({ name, place: -1 }));
  const expected = new Set<Member>();
  let draw = 1;
  for (let step = 0; step < 5_000; step++) {
    draw = (draw * 48_271) % 2_147_483_647;
    const member = members[draw % members.length];
    if (member === undefined) continue;
    if (expected.has(member)) {
      roster.delete(member);
      expected.delete(member);
    } else if (draw % 3 === 0) roster.delete(member);
    else {
      roster.add(member);
      expected.add(member);
    }
    assert.equal(roster.size, expected.size);
    if (step % 100 === 0) assert.deepEqual(new Set(roster.all()), expected);
  }
  assert.deepEqual(new Set(roster.all()), expected);
});

test('who comes and goes while all are looked at changes nothing of it', () => {
  const roster = new Roster<Member>();
  for (let name = 0; name < 3; name++) roster.add({ name, place: -1 });
  const seen = roster.all().map((member) => {
    roster.delete(member);
    roster.add({ name: 9, place: -1 });
    return member.name;
  });
  assert.deepEqual(seen, [0, 1, 2]);
  assert.equal(roster.size, 3);
});
