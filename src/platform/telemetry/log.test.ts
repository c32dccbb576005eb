import assert from 'node:assert/strict';
import test from 'node:test';
import { SharedFields, WHOLE_LINES } from '#model/effects/log.ts';
import { WeftError } from '#model/error.ts';
import { SharedLogLevel } from '#model/telemetry/log-level.ts';
import { createLog, type LogOptions } from './log.ts';

function linesOf(options: LogOptions, write: (log: ReturnType<typeof createLog>) => void): string[] {
  const lines: string[] = [];
  write(createLog(options, { write: (line, length) => lines.push(line.toString('utf8', 0, length)) }));
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

test('H18: a level that changes counts for logs and children that are there already', () => {
  const level = new SharedLogLevel('warn');
  const lines: string[] = [];
  const log = createLog(
    { level, format: 'json', process: 'agent' },
    { write: (line, length) => lines.push(line.toString('utf8', 0, length)) },
  );
  const child = log.child({ node: 'a' });
  child.info({}, 'before');
  level.set('info');
  child.info({}, 'after');
  log.debug({}, 'more');
  level.set('silent');
  log.error({}, 'nothing');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line).message),
    ['after'],
  );
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

test('W70: a whole line is written as it is, in either style, and by its level', () => {
  for (const format of ['text', 'json'] as const) {
    const lines = linesOf({ level: 'info', format, process: 'waypoint' }, (log) => {
      const whole = log.child({ node: 'a' }).child(WHOLE_LINES);
      whole.debug({ line: 'no' }, 'request');
      whole.info({ cause: 'policy', line: '[2026] "GET /ö"' }, 'request');
    });
    assert.deepEqual(lines, ['[2026] "GET /ö"\n']);
  }
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

test('fields that lines share stand in their place, and each style of log makes their text', () => {
  const shared = new SharedFields({ 'src.addr': '10.0.0.1:80', 'src.workload': undefined, rule: 0, error: 'ö "x"' });
  const [text, json, again] = (['text', 'json', 'text'] as const).map((format) =>
    linesOf({ level: 'info', format, process: 'waypoint' }, (log) => {
      for (const path of ['/1', '/2']) log.child({ node: 'a' }).info({ method: 'GET', source: shared, path }, 'request');
    }),
  );
  const expected = ['/1', '/2'].map((path) => ` node=a method=GET src.addr=10.0.0.1:80 rule=0 error="ö \\"x\\"" path=${path}\n`);
  for (const lines of [text, again])
    assert.deepEqual(
      lines?.map((line) => line.slice(line.indexOf(' node'))),
      expected,
    );
  const { time: _, ...record } = JSON.parse(json?.[1] ?? '');
  assert.deepEqual(record, {
    ...{ level: 'info', process: 'waypoint', node: 'a', method: 'GET' },
    ...{ 'src.addr': '10.0.0.1:80', rule: 0, error: 'ö "x"', path: '/2', message: 'request' },
  });
});

test('every value is what JSON.stringify makes of it, and a text line quotes what could be mistaken', () => {
  const values = [
    '',
    'a b',
    'é',
    '\u{1f600}',
    '\ud800',
    '"\\\u0000\u007f\u2028',
    'x'.repeat(300),
    '~!#[]',
    0,
    7,
    -0,
    -1,
    10,
    999_999_999,
    1e9,
  ]
    .concat(['a/b.c:d@e+f-g_h', 'a=b', 'ä'.repeat(100)])
    .concat([1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER]);
  for (const value of values) {
    const [json = ''] = linesOf({ level: 'info', format: 'json', process: 'p' }, (log) => log.info({ value }, 'm'));
    assert.equal(json.slice(json.indexOf(',"value":')), `,"value":${JSON.stringify(value)},"message":"m"}\n`.toWellFormed());
    const [text = ''] = linesOf({ level: 'info', format: 'text', process: 'p' }, (log) => log.info({ value }, 'm'));
    const isPlain = typeof value === 'number' || /^[\w./:@+-]+$/.test(value);
    const shown = isPlain
      ? Number.isFinite(Number(value)) || typeof value === 'string'
        ? String(value)
        : 'null'
      : JSON.stringify(value);
    assert.equal(text.slice(text.indexOf(' value=')), ` value=${shown}\n`.toWellFormed());
  }
});
