import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRestartPolicy, startsAgain } from './restart-policy.ts';

for (const [text, want] of [
  ['no', { kind: 'no' }],
  ['always', { kind: 'always' }],
  ['unless-stopped', { kind: 'unless-stopped' }],
  ['on-failure', { kind: 'on-failure', timesMax: null }],
  ['on-failure:3', { kind: 'on-failure', timesMax: 3 }],
  ['on-failure:0', null],
  ['on-failure:', null],
  ['on-failure:-1', null],
  ['always:3', null],
  ['ALWAYS', null],
  ['', null],
] as const)
  test(`a restart policy: ${JSON.stringify(text)}`, () => assert.deepEqual(readRestartPolicy(text), want));

for (const [text, code, times, want] of [
  ['no', 1, 0, false],
  ['always', 0, 100, true],
  ['unless-stopped', 0, 0, true],
  ['on-failure', 0, 0, false],
  ['on-failure', 1, 100, true],
  ['on-failure:2', 137, 1, true],
  ['on-failure:2', 137, 2, false],
] as const)
  test(`${text} after exit code ${code}, started again ${times} times: ${want}`, () =>
    assert.equal(startsAgain(readRestartPolicy(text) ?? assert.fail(), { code, times }), want));
