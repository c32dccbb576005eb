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

test('H4: a text that a client chose is cut', () => {
  for (const format of ['text', 'json'] as const) {
    const [line = ''] = linesOf({ level: 'info', format, process: 'waypoint' }, (log) =>
      log.info({ path: `/${'a'.repeat(100_000)}` }, 'request'),
    );
    assert.ok(line.length < 1_000, `${line.length} characters`);
    assert.match(line, /\/a{511}…/);
  }
});

test('records below the level are not written', () => {
  assert.deepEqual(
    linesOf({ level: 'warn', format: 'json', process: 'x' }, (log) => log.info({}, 'quiet')),
    [],
  );
});

test('fields come in their order, those of the log itself first, and what is not known is left out', () => {
  for (const [format, expected] of [
    [
      'text',
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}agent: done node=a src\.addr="a b" n=1.5 none=null list=\["x",1\] on=true error="a\\nb"\n$/,
    ],
    [
      'json',
      /^\{"level":"info","time":"[^"]+","process":"agent","node":"a","src\.addr":"a b","n":1\.5,"none":null,"list":\["x",1\],"on":true,"error":"a\\nb","message":"done"\}\n$/,
    ],
  ] as const) {
    const [line = ''] = linesOf({ level: 'info', format, process: 'agent' }, (log) =>
      log
        .child({ node: 'a' })
        .info({ 'src.addr': 'a b', left: undefined, n: 1.5, none: null, list: ['x', 1], on: true, error: 'a\nb' }, 'done'),
    );
    assert.match(line, expected);
  }
});

test('no value makes a log throw, or break out of its line', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  for (const format of ['text', 'json'] as const) {
    for (const value of [circle, 1n, Number.NaN, Symbol('s'), () => 1, '\u2028"\n\\', new Error('x'), { big: 1n }]) {
      const lines = linesOf({ level: 'info', format, process: 'p' }, (log) => log.info({ value, err: value }, 'm\n"'));
      assert.equal(lines.length, 1);
      if (format === 'json') assert.equal(JSON.parse(lines[0] ?? '').message, 'm\n"');
    }
  }
});

test('an error that was not foreseen has its stack in the log', () => {
  const [line = ''] = linesOf({ level: 'info', format: 'json', process: 'x' }, (log) =>
    log.error({ err: new Error('outer', { cause: new Error('inner') }) }, 'bad'),
  );
  const { err } = JSON.parse(line);
  assert.deepEqual([err.message, err.cause], ['outer', 'inner']);
  assert.match(err.stack, /log\.test\.ts/);
});
