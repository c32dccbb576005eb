import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '#model/error.ts';
import { createLog, type LogOptions } from './log.ts';

function linesOf(options: LogOptions, write: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = [];
  write(createLog(options, { write: (line) => lines.push(line) }));
  return lines;
}

const refused = new WeftError('WEFT_PORT', 'port 99999 is out of range', { remedy: 'write a number from 1 to 65535' });

test('a JSON record names level, part, sentence and fields', () => {
  const [line = ''] = linesOf({ level: 'info', format: 'json', process: 'control' }, (log) =>
    log.child({ node: 'a' }).warn({ err: refused }, 'not served'),
  );
  const { time, ...record } = JSON.parse(line);
  assert.match(time, /^\d{4}-\d\d-\d\dT/);
  const err = { code: 'WEFT_PORT', message: 'port 99999 is out of range', remedy: 'write a number from 1 to 65535' };
  assert.deepEqual(record, { level: 'warn', process: 'control', node: 'a', err, message: 'not served' });
});

test('a text line shows a foreseen error by its sentence, without a stack', () => {
  const [line = ''] = linesOf({ level: 'info', format: 'text', process: 'agent' }, (log) =>
    log.error({ pod: 'shop/a', bytes: 7, err: refused }, 'refused'),
  );
  assert.match(line, /^\d\d:\d\d:\d\d\.\d{3} ERROR agent: refused pod=shop\/a bytes=7 err="port 99999 is out of range"\n$/);
});

test('records below the level are not written', () => {
  assert.deepEqual(
    linesOf({ level: 'warn', format: 'json', process: 'x' }, (log) => log.info({}, 'quiet')),
    [],
  );
});
