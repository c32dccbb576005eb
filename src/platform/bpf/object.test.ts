import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explainVerifierLog, loadObject } from './object.ts';

const LOG = [
  'func#0 @0',
  '; flow.source = ops_remote_ip(ctx); @ flow.h:36',
  '83: (61) r3 = *(u32 *)(r3 +0)',
  'dereference of modified ctx ptr R3 off=24 disallowed',
  'processed 92 insns (limit 1000000) max_states_per_insn 0 total_states 8',
  'verification time 210 usec',
].join('\n');

test('a verifier log becomes the complaint, the source line and the instruction', () => {
  assert.equal(
    explainVerifierLog('weft_flow', Buffer.from(`${LOG}\0rest of the buffer`)),
    [
      'program weft_flow: dereference of modified ctx ptr R3 off=24 disallowed',
      '  at ; flow.source = ops_remote_ip(ctx); @ flow.h:36',
      '  at 83: (61) r3 = *(u32 *)(r3 +0)',
    ].join('\n'),
  );
});
test('an empty log explains nothing', () => assert.equal(explainVerifierLog('p', Buffer.alloc(8)), ''));
test('an object that is not there is an error with its remedy', () => {
  assert.throws(() => loadObject('/nonexistent.o', () => null, null), { code: 'WEFT_BPF_OPEN' });
});
