import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatIdentity, principalOf, tryParseIdentity } from './identity.ts';

const cases = [
  { name: 'a workload identity', uri: 'spiffe://cluster.local/ns/shop/sa/cart', valid: true },
  { name: 'another scheme', uri: 'https://cluster.local/ns/shop/sa/cart', valid: false },
  { name: 'a missing part', uri: 'spiffe://cluster.local/ns/shop/sa', valid: false },
  { name: 'an extra part', uri: 'spiffe://cluster.local/ns/shop/sa/cart/x', valid: false },
  { name: 'other keywords', uri: 'spiffe://cluster.local/namespace/shop/sa/cart', valid: false },
  { name: 'an empty part', uri: 'spiffe://cluster.local/ns//sa/cart', valid: false },
  { name: 'an embedded NUL', uri: 'spiffe://cluster.local/ns/shop/sa/cart\0x', valid: false },
];
for (const { name, uri, valid } of cases)
  test(`${name} is ${valid ? 'read' : 'refused'}`, () => assert.equal(tryParseIdentity(uri) !== null, valid));

test('formatting undoes reading; principals have no scheme', () => {
  const identity = tryParseIdentity('spiffe://td/ns/a/sa/b');
  assert.ok(identity);
  assert.equal(formatIdentity(identity), 'spiffe://td/ns/a/sa/b');
  assert.equal(principalOf(identity), 'td/ns/a/sa/b');
});
