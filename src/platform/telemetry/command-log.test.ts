import assert from 'node:assert/strict';
import test from 'node:test';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { commandLog, logSettings } from './log.ts';

test('without settings the log is text at level info', () =>
  assert.deepEqual(logSettings({}), { level: 'info', format: 'text' }));

test('level and format come from the environment', () => {
  assert.deepEqual(logSettings({ WEFT_LOG_LEVEL: 'debug', WEFT_LOG_FORMAT: 'json' }), { level: 'debug', format: 'json' });
});

for (const env of [{ WEFT_LOG_LEVEL: 'loud' }, { WEFT_LOG_FORMAT: 'xml' }]) {
  test(`${JSON.stringify(env)} is refused, naming the choices`, () => {
    assert.throws(() => logSettings(env), { code: 'WEFT_SETTING', remedy: /^write one of: / });
  });
}

test('S20: the log of a command writes some of the lines that are alike', () => {
  const lines: string[] = [];
  const log = commandLog('agent', {}, { write: (line, length) => void lines.push(line.toString('utf8', 0, length)) });
  for (let n = 0; n < 10_000; n++) log.warn({ cause: 'policy', 'dst.workload': 'cart' }, 'connection refused by the kernel');
  assert.equal(lines.length, TELEMETRY.alikeLinesMax);
});
