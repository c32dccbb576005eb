import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NumberTable } from './number-table.ts';

type Member = { readonly id: number; readonly name: number; next: Member | null };

test('a table finds what was added and not removed by its number, the last of those with one number first', () => {
  const table = new NumberTable<Member>();
  const there: Member[] = [];
  let draw = 1;
  for (let step = 0; step < 20_000; step++) {
    draw = (draw * 48_271) % 2_147_483_647;
    const grows = step % 2_000 < 1_000;
    if (there.length === 0 || draw % 100 < (grows ? 60 : 40)) {
      const member: Member = { id: draw % 97, name: step, next: null };
      table.add(member);
      there.push(member);
    } else {
      const [member] = there.splice(draw % there.length, 1);
      assert.ok(member !== undefined && table.delete(member));
      assert.equal(table.delete(member), false);
    }
    assert.equal(table.size, there.length);
    if (step % 50 > 0) continue;
    assert.deepEqual(new Set(table.all()), new Set(there));
    for (let number = 0; number < 97; number++) {
      const found: Member[] = [];
      for (let at = table.get(number); at !== null; at = table.before(at)) found.push(at);
      assert.deepEqual(
        found.toReversed(),
        there.filter((member) => member.id === number),
      );
    }
  }
});
