import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseIp } from '#model/address/ip.ts';
import { arrangeSlots, type Slot, sameSlot } from './slots.ts';

const slot = (at: number): Slot => ({ ip: parseIp(`10.0.0.${at}`), port: 80 });
const slots = (text: string): Slot[] => [...text].map((letter) => slot(letter.charCodeAt(0)));
const text = (all: readonly Slot[]): string => all.map(({ ip }) => String.fromCharCode(Number(ip.split('.')[3]))).join('');

const cases: { name: string; before: string; wanted: string; want: string }[] = [
  { name: 'the first ones as they come', before: '', wanted: 'abc', want: 'abc' },
  { name: 'another order is no difference', before: 'abc', wanted: 'cab', want: 'abc' },
  { name: 'one that leaves is replaced by the last', before: 'abcd', wanted: 'acd', want: 'adc' },
  { name: 'one that comes takes the place of one that leaves', before: 'abc', wanted: 'axc', want: 'axc' },
  { name: 'one that comes is put last', before: 'abc', wanted: 'xabc', want: 'abcx' },
  { name: 'a greater weight is more of the same', before: 'ab', wanted: 'aab', want: 'aba' },
  { name: 'a smaller weight is fewer of the same', before: 'aba', wanted: 'ab', want: 'ab' },
  { name: 'none are left', before: 'ab', wanted: '', want: '' },
];
for (const { name, before, wanted, want } of cases) {
  test(`S9: slots in place: ${name}`, () => {
    assert.equal(text(arrangeSlots(slots(before), slots(wanted))), want);
  });
}

test('S9: it is always what is wanted, and no more is written than what is new or has to close a gap', () => {
  const some = fc.array(fc.integer({ min: 1, max: 9 }).map(slot), { maxLength: 12 });
  const sorted = (all: readonly Slot[]) => all.map(({ ip }) => ip).sort();
  fc.assert(
    fc.property(some, some, (before, wanted) => {
      const arranged = arrangeSlots(before, wanted);
      assert.deepEqual(sorted(arranged), sorted(wanted));
      const written = arranged.filter((one, at) => !sameSlot(one, before[at])).length;
      const kept = wanted.length - written;
      // Of each kind as many stay as both have below the new length.
      const most = [1, 2, 3, 4, 5, 6, 7, 8, 9].reduce((sum, kind) => {
        const count = (all: readonly Slot[]) => all.filter((one) => sameSlot(one, slot(kind))).length;
        return sum + Math.min(count(before.slice(0, wanted.length)), count(wanted));
      }, 0);
      assert.equal(kept, most);
    }),
  );
});
