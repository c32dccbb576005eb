import assert from 'node:assert/strict';
import test from 'node:test';
import { ACCESS_FIELDS, LOG_FIELDS } from '../../src/model/telemetry/log-fields.ts';
import { strayFields, usedFields } from './log-fields.ts';
import { filesBelow } from './source-files.ts';

const sources = filesBelow('src', ['.ts']);

test('every field of a log line is in a list of src/model/telemetry/log-fields.ts', () =>
  assert.deepEqual(strayFields(sources), []));

test('every field of the list of other lines is used, and none has two meanings', () => {
  const used = usedFields(sources);
  assert.deepEqual(
    Object.keys(LOG_FIELDS).filter((field) => !used.has(field)),
    [],
  );
  assert.deepEqual(
    Object.keys(LOG_FIELDS).filter((field) => field in ACCESS_FIELDS),
    [],
  );
});

const planted: { name: string; text: string; fields: string[] }[] = [
  { name: 'a field of its own', text: "log.info({ moon: 1 }, 'x');", fields: ['moon'] },
  { name: 'a quoted field', text: "log.warn({ 'src.moon': a, 'src.addr': b }, 'x');", fields: ['src.moon'] },
  { name: 'a short form', text: "this.#log.debug({ moon, policy }, 'x');", fields: ['moon'] },
  {
    name: 'a field after a spread and a nested value',
    text: "log.error({ ...record, rule: f({ a: 1 }), moon: [b, c] }, 'x');",
    fields: ['moon'],
  },
  {
    name: 'a call over several lines',
    text: "effects.log.info(\n  {\n    policy,\n    moon: 2,\n  },\n  'x',\n);",
    fields: ['moon'],
  },
  { name: 'a level that is chosen', text: "effects.log[level]({ moon: 1 }, 'x');", fields: ['moon'] },
  { name: 'nothing where all are known', text: "log.info({ policy, 'src.addr': a, ...rest }, 'x: y');", fields: [] },
];
for (const { name, text, fields } of planted) {
  test(`the log-field test sees ${name}`, () =>
    assert.deepEqual(
      strayFields([{ path: 'src/model/a.ts', text }]),
      fields.map((field) => `src/model/a.ts: the log field ${field} is in no list`),
    ));
}
