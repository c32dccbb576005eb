import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SILENT_LOG } from '#model/effects/log.ts';
import { degradations, requireFeatures } from './requirements.ts';

const RETVAL = { feature: 'bpf_set_retval', since: '5.18', loss: 'a refusal is EPERM', fatal: false };
const LOOKUP = { feature: 'sk_lookup programs', since: '5.9', loss: 'nothing can be checked', fatal: true };

function warningsOf(check: (log: typeof SILENT_LOG) => void): object[] {
  const warnings: object[] = [];
  check({ ...SILENT_LOG, warn: (fields) => void warnings.push(fields) });
  return warnings;
}

test('a kernel that has everything is passed without a word', () => {
  assert.deepEqual(
    warningsOf((log) => requireFeatures([], log)),
    [],
  );
});

test('what can be done without is told, with what is lost', () => {
  assert.deepEqual(
    warningsOf((log) => requireFeatures([RETVAL], log)),
    [{ feature: 'bpf_set_retval', since: '5.18', loss: 'a refusal is EPERM' }],
  );
});

test('a feature without which nothing works stops the agent, which names it and its version', () => {
  const warnings = warningsOf((log) =>
    assert.throws(() => requireFeatures([RETVAL, LOOKUP], log), {
      code: 'WEFT_KERNEL',
      message: /sk_lookup programs \(Linux 5\.9\): nothing can be checked$/,
    }),
  );
  assert.equal(warnings.length, 2, 'all that is missing is told, not only what stopped it');
});

test('status lists what the node lacks and what the kernel lacks', () => {
  assert.deepEqual(degradations(['no IPv6'], [RETVAL]), ['no IPv6', 'bpf_set_retval is missing: a refusal is EPERM']);
});
