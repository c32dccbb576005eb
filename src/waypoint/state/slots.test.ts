import assert from 'node:assert/strict';
import test from 'node:test';
import { Slots, type Slotted } from '#waypoint/state/slots.ts';

const holder = (): Slotted => ({ slots: null });

test('slots: each feature has its own value beside each holder', () => {
  const slots = new Slots<Slotted>();
  const text = slots.add<string>();
  const number = slots.keep({ make: () => ({ value: 0 }) });
  const [a, b] = [holder(), holder()];
  assert.equal(text.peek(a), null);
  text.set(a, 'of a');
  number.of(a).value = 1;
  assert.equal(text.peek(a), 'of a');
  assert.equal(text.peek(b), null);
  assert.equal(number.peek(b), null);
  assert.equal(number.of(b).value, 0);
  assert.equal(number.of(a), number.of(a));
});

test('slots: a holder that leaves drops the values it has, once, and makes none for it', () => {
  const slots = new Slots<Slotted>();
  const dropped: string[] = [];
  const life = (name: string) => ({ make: () => name, drop: (value: string) => void dropped.push(value) });
  const used = slots.keep(life('used'));
  slots.keep(life('unused'));
  const leaver = holder();
  used.of(leaver);
  slots.drop(leaver);
  slots.drop(leaver);
  assert.deepEqual(dropped, ['used']);
  assert.equal(used.peek(leaver), null);
});

test('slots: a holder can be filled ahead of its first use', () => {
  const slots = new Slots<Slotted & { name: string }>();
  const made: string[] = [];
  slots.keep({ make: ({ name }) => made.push(name) });
  slots.keep({ make: ({ name }) => made.push(name) });
  const one = { slots: null, name: 'one' };
  slots.fill(one);
  slots.fill(one);
  assert.deepEqual(made, ['one', 'one']);
});

test('slots: one value in use keeps its holder', () => {
  const slots = new Slots<Slotted>();
  const idle = slots.keep({ make: () => ({ busy: true }) });
  const pool = slots.keep({ make: () => ({ busy: false }), inUse: ({ busy }) => busy });
  const one = holder();
  idle.of(one);
  assert.equal(slots.isInUse(one), false);
  pool.of(one).busy = true;
  assert.equal(slots.isInUse(one), true);
});
