import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { MultiMap } from './multi-map.ts';

test('a multi-map holds what sets of their own would', () => {
  const step = fc.record({ key: fc.nat(3), member: fc.nat(4), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const map = new MultiMap<number, number>();
      const want = new Map<number, Set<number>>();
      for (const { key, member, gone } of steps) {
        const set = want.get(key) ?? new Set();
        if (gone) {
          const wasLast = set.delete(member) && set.size === 0;
          assert.equal(map.remove(key, member), wasLast);
        } else {
          set.add(member);
          map.add(key, member);
        }
        if (set.size === 0) want.delete(key);
        else want.set(key, set);
        for (const at of [0, 1, 2, 3]) {
          const members = [...(want.get(at) ?? [])];
          assert.deepEqual([...map.at(at)], members);
          assert.deepEqual([map.countAt(at), map.firstAt(at)], [members.length, members[0]]);
        }
        assert.deepEqual([map.size, [...map.keys()].sort()], [want.size, [...want.keys()].sort()]);
      }
    }),
  );
});
