import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryViolations } from './retries.ts';
import { filesBelow } from './source-files.ts';

test('F10: what has failed is tried again by one helper, with one timer, a cap and a spread', () => {
  assert.deepEqual(retryViolations(filesBelow('src', ['.ts'])), []);
});

const planted = [
  'clock.after(AGENT.registerRetryMs, () => this.begin());',
  'this.#effects.clock.after(\n  retryMs,\n  connect,\n);',
  'clock.after(backoff.nextMs, again);',
  'clock.after(Math.min(delayMs, 5), again);',
  'this.#delayMs *= 2;',
  'const waitMs = firstMs * 2 ** failures;',
  'const next = Math.min(delayMs * 2, maxMs);',
];
for (const text of planted)
  test(`F10: the retry test sees ${text}`, () =>
    assert.equal(retryViolations([{ path: 'src/node-agent/a.ts', text }]).length, 1));

const others = ['clock.after(DNS.tcpIdleMs, close);', '// waits backoffMs * 2', 'const half = lifetimeMs / 2;'];
for (const text of others)
  test(`F10: the retry test lets ${text} pass`, () =>
    assert.deepEqual(retryViolations([{ path: 'src/node-agent/a.ts', text }]), []));
