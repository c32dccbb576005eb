import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { HOT_FUNCTIONS } from './hot-functions.ts';
import { YARDSTICK } from './measure.ts';

const baseline = JSON.parse(readFileSync(new URL('./baseline.json', import.meta.url), 'utf8')) as Record<string, number>;

test('every hot function has its ratio on record, and nothing else has', () => {
  assert.deepEqual(Object.keys(baseline).sort(), HOT_FUNCTIONS.map(({ name }) => name).sort());
});

for (const hot of [YARDSTICK, ...HOT_FUNCTIONS]) {
  test(`${hot.name}: what is measured does its work`, () => {
    const [once, thrice] = [Number(hot.run(1)), Number(hot.run(3))];
    assert.ok(once > 0 || thrice > 0, 'a function that answers nothing measures nothing');
  });
}
