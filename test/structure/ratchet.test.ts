import assert from 'node:assert/strict';
import test from 'node:test';
import { compare, growth, growthSinceLastCommit } from './ratchet.ts';

test('the list of exceptions only shrinks', () => assert.deepEqual(growthSinceLastCommit(), []));

test('an amount on record is no problem', () => assert.deepEqual(compare({ a: 310 }, { a: 310 }), []));

const cases = [
  { name: 'a new offender', known: {}, found: { a: 301 }, says: /over the limit/ },
  { name: 'a known offender that grew', known: { a: 310 }, found: { a: 311 }, says: /grew from 310 to 311/ },
  { name: 'a known offender that shrank', known: { a: 310 }, found: { a: 305 }, says: /lower its entry/ },
  { name: 'an entry that is not needed', known: { a: 310 }, found: {}, says: /remove its entry/ },
];
for (const { name, known, found, says } of cases) {
  test(`the ratchet sees ${name}`, () => assert.match(compare(known, found).join(), says));
}

test('the ratchet sees entries that were added or raised', () => {
  assert.deepEqual(growth({ a: 310, b: 320 }, { a: 311, b: 315, c: 301 }), ['a: 310 → 311', 'c: no entry → 301']);
});
