import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { withoutBpf } from './kernel-calls.testing.ts';
import { probeSpliceReaders } from './splice-probe.ts';

test('E8: whether splice(2) reads what was redirected is known of this kernel, and asking leaves nothing open', {
  skip: withoutBpf,
}, (t) => {
  const first = probeSpliceReaders();
  t.diagnostic(first);
  // No released kernel serves them; one that does is welcome, and one on which it cannot be tried is not this one.
  assert.ok(['served', 'not served'].includes(first), first);
  const before = readdirSync('/proc/self/fd').length;
  assert.equal(probeSpliceReaders(), first);
  assert.equal(readdirSync('/proc/self/fd').length, before);
});
