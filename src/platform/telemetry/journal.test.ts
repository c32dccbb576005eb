import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import test from 'node:test';
import type { LogLevel } from '#model/telemetry/log-level.ts';
import { createLog, isJournal } from './log.ts';

test('H4: the journal is where the variable names the very stream that is written, and nowhere else', (t) => {
  const [one, other] = [openSync('/dev/null', 'w'), openSync('/dev/zero', 'w')];
  t.after(() => closeSync(one));
  const { dev, ino } = fstatSync(one);
  assert.equal(isJournal(one, `${dev}:${ino}`), true);
  assert.equal(isJournal(other, `${dev}:${ino}`), false);
  assert.equal(isJournal(one, undefined), false);
  closeSync(other);
  assert.equal(isJournal(other, `${dev}:${ino}`), false, 'closed');
});

for (const format of ['text', 'json'] as const) {
  test(`H4: each line for the journal begins with its priority, and is the same else (${format})`, () => {
    const clock = { nowMs: () => 0, monotonicMs: () => 0, after: () => () => {}, every: () => () => {} };
    const linesOf = (forJournal: boolean): string[] => {
      const lines: string[] = [];
      const options = { level: 'debug' as LogLevel, format, process: 'agent', forJournal };
      const log = createLog(options, { write: (line, length) => lines.push(line.toString('utf8', 0, length)) }, clock);
      log.debug({ id: 1 }, 'a');
      log.child({ node: 'n' }).info({}, 'b');
      log.warn({}, 'c');
      log.error({ err: new Error('x') }, 'd');
      return lines;
    };
    const marked = linesOf(true);
    assert.deepEqual(
      marked.map((line) => line.slice(0, 3)),
      ['<7>', '<6>', '<4>', '<3>'],
    );
    const withoutStack = (line: string): string => line.replace(/"stack":.*/, '');
    assert.deepEqual(
      marked.map((line) => withoutStack(line.slice(3))),
      linesOf(false).map(withoutStack),
    );
  });
}
