import assert from 'node:assert/strict';
import test from 'node:test';
import { normalised } from './seen.ts';

test('H11: what differs from one shop to the next is replaced by its kind, and nothing else is', () => {
  const text =
    'alpha-ade819   10.41.0.7, fd41:0:0:1::7  80→by name  expires in 23 h\n  spiffe://a/ns/b/sa/c 2001:2:0:bfd1:b9f1:530e:da25:de';
  assert.equal(normalised(text, 'ade819'), 'alpha-LAB  IPV4, IPV6  80→by name  expires in TIME\n  spiffe://a/ns/b/sa/c IPV6');
});
