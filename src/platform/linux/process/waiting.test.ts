import assert from 'node:assert/strict';
import test from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createSerial } from './waiting.ts';

test('tasks of one key run one after the other, of different keys at once, and a failure stops none', async () => {
  const serial = createSerial();
  const seen: string[] = [];
  const task =
    (name: string, fails = false) =>
    async () => {
      seen.push(`${name} starts`);
      await turn();
      seen.push(`${name} ends`);
      if (fails) throw new Error(name);
      return name;
    };
  const results = await Promise.allSettled([serial('a', task('a1', true)), serial('a', task('a2')), serial('b', task('b1'))]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'fulfilled', 'fulfilled'],
  );
  assert.deepEqual(seen.slice(0, 2), ['a1 starts', 'b1 starts']);
  assert.ok(seen.indexOf('a1 ends') < seen.indexOf('a2 starts'));
});
