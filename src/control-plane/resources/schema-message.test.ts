import assert from 'node:assert/strict';
import test from 'node:test';
import { formatFieldPath } from './finding.ts';
import type { Schema } from './schema.ts';
import { DNS_LABEL, LABEL_VALUE, SUBDOMAIN } from './schema.ts';
import { compileSchemaCheck } from './schema-check.ts';

const DURATION = '^([0-9]{1,5}(h|m|s|ms)){1,4}$';

/** `field: message → remedy` of every mismatch of one value under `field`. */
function mismatches(schema: Schema, value: unknown): string[] {
  const check = compileSchemaCheck({ type: 'object', properties: { field: schema } });
  return check({ field: value }).values.map(({ path, message, remedy }) => `${formatFieldPath(path)}: ${message} → ${remedy}`);
}

const TEXT: Schema = { type: 'string' };
const INTEGER: Schema = { type: 'integer' };
const cases: { name: string; schema: Schema; value: unknown; want: string }[] = [
  {
    name: 'a number where a text belongs wants quotes',
    schema: TEXT,
    value: 8080,
    want: 'field: must be a text, is the number 8080 → write it in quotes: "8080"',
  },
  {
    name: 'so does a truth value, which YAML makes of a bare word',
    schema: TEXT,
    value: true,
    want: 'field: must be a text, is true → write it in quotes: "true"',
  },
  {
    name: 'digits in quotes where a number belongs lose them',
    schema: INTEGER,
    value: '80',
    want: 'field: must be a whole number, is the text "80" → write 80 without quotes',
  },
  {
    name: 'a word where a number belongs',
    schema: INTEGER,
    value: 'http',
    want: 'field: must be a whole number, is the text "http" → write a whole number',
  },
  {
    name: 'a fraction where a whole number belongs',
    schema: INTEGER,
    value: 1.5,
    want: 'field: must be a whole number, is the number 1.5 → write a whole number',
  },
  {
    name: 'one item where a list belongs',
    schema: { type: 'array', items: TEXT },
    value: 'GET',
    want: 'field: must be a list, is the text "GET" → write a list: put "- " in front of each item',
  },
  {
    name: 'nothing where a list belongs',
    schema: { type: 'array', items: TEXT },
    value: null,
    want: 'field: must be a list, is empty → write a list',
  },
  {
    name: 'a list where an object belongs',
    schema: { type: 'object' },
    value: [],
    want: 'field: must be an object, is a list → write an object',
  },
  {
    name: 'an object where a truth value belongs',
    schema: { type: 'boolean' },
    value: {},
    want: 'field: must be true or false, is an object → write true or false',
  },
  {
    name: 'an item of a list has its index',
    schema: { type: 'array', items: INTEGER },
    value: [1, 'x'],
    want: 'field[1]: must be a whole number, is the text "x" → write a whole number',
  },
  {
    name: 'a missing field is told at the field',
    schema: { type: 'object', required: ['name'], properties: { name: TEXT } },
    value: {},
    want: 'field.name: "name" is required → add name',
  },
  {
    name: 'a word close to an allowed one',
    schema: { type: 'string', enum: ['ALLOW', 'DENY'] },
    value: 'ALOW',
    want: 'field: "ALOW" is not one of ALLOW, DENY → did you mean ALLOW?',
  },
  {
    name: 'a word far from all of them',
    schema: { type: 'string', enum: ['ALLOW', 'DENY'] },
    value: 'maybe',
    want: 'field: "maybe" is not one of ALLOW, DENY → write one of ALLOW, DENY',
  },
  {
    name: 'a name with capitals',
    schema: { type: 'string', pattern: SUBDOMAIN },
    value: 'Reviews',
    want: 'field: "Reviews" is not a valid name → use lower-case letters, digits, "-" and "."',
  },
  {
    name: 'a name that begins with a dash',
    schema: { type: 'string', pattern: DNS_LABEL },
    value: '-a',
    want: 'field: "-a" is not a valid name → use lower-case letters, digits and "-"',
  },
  {
    name: 'a label value with a space',
    schema: { type: 'string', pattern: LABEL_VALUE },
    value: 'a b',
    want: 'field: "a b" is not a valid label value → use letters, digits, "-", "_" and ".", beginning and ending with a letter or digit',
  },
  {
    name: 'a duration that is none',
    schema: { type: 'string', pattern: DURATION },
    value: 'soon',
    want: 'field: "soon" is not a duration → write whole numbers with h, m, s or ms, such as 1500ms or 1m30s',
  },
  {
    name: 'a duration with a fraction of seconds is worked out',
    schema: { type: 'string', pattern: DURATION },
    value: '1.5s',
    want: 'field: "1.5s" is not a duration: fractions are not allowed in Gateway API durations → write 1500ms',
  },
  {
    name: 'of minutes',
    schema: { type: 'string', pattern: DURATION },
    value: '.5m',
    want: 'field: ".5m" is not a duration: fractions are not allowed in Gateway API durations → write 30000ms',
  },
  {
    name: 'of hours',
    schema: { type: 'string', pattern: DURATION },
    value: '0.25h',
    want: 'field: "0.25h" is not a duration: fractions are not allowed in Gateway API durations → write 900000ms',
  },
  {
    name: 'a pattern that has no name is shown',
    schema: { type: 'string', pattern: '^x+$' },
    value: 'y',
    want: 'field: "y" does not have the required form → write a text that matches ^x+$',
  },
  {
    name: 'a number above its limit',
    schema: { type: 'integer', maximum: 65_535 },
    value: 70_000,
    want: 'field: 70000 must be <= 65535 → keep within the limit of 65535',
  },
  {
    name: 'a list that is too long',
    schema: { type: 'array', maxItems: 1 },
    value: ['a', 'b'],
    want: 'field: ["a","b"] must NOT have more than 1 items → keep within the limit of 1',
  },
  {
    name: 'a rule without a limit sends the reader to the description',
    schema: { type: 'array', uniqueItems: true } as Schema,
    value: ['a', 'a'],
    want: 'field: ["a","a"] must NOT have duplicate items (items ## 0 and 1 are identical) → see the description of the field',
  },
  {
    name: 'neither of two shapes, where a number or a text may stand',
    schema: { 'x-kubernetes-int-or-string': true, anyOf: [INTEGER, TEXT] } as Schema,
    value: {},
    want: 'field: must be a whole number or a text, is an object → write a whole number or a text',
  },
];
for (const { name, schema, value, want } of cases) {
  test(`a mismatch is told in words: ${name}`, () => assert.deepEqual(mismatches(schema, value), [want]));
}

test('a long value is shortened, so that the sentence about it can be read', () => {
  const [line] = mismatches({ type: 'string', enum: ['a'] }, 'x'.repeat(200));
  assert.match(line ?? '', /^field: "x{76}… is not one of a/);
});

test('where fields may be combined in some ways only, the object as a whole is a shape, not a value', () => {
  const either: Schema = {
    type: 'object',
    properties: { a: TEXT, b: TEXT },
    oneOf: [{ required: ['a'] }, { required: ['b'] }] as Schema[],
  } as Schema;
  const { values, shapes } = compileSchemaCheck(either)({ a: 'x', b: 'y' });
  assert.deepEqual([values.length, shapes.length], [0, 1]);
});

test('defaults are filled in before anything is checked', () => {
  const check = compileSchemaCheck({
    type: 'object',
    properties: {
      path: { type: 'object', default: {}, properties: { type: { type: 'string', default: 'PathPrefix' } } } as Schema,
    },
  });
  const object: Record<string, unknown> = {};
  assert.deepEqual(check(object), { values: [], shapes: [] });
  assert.deepEqual(object, { path: { type: 'PathPrefix' } });
});

test('a rule about an object may rely on a default of the same object', () => {
  const properties = { type: { type: 'string', default: 'PathPrefix' } as Schema };
  const check = compileSchemaCheck({ type: 'object', not: { not: { required: ['type'] } }, properties } as Schema);
  assert.deepEqual(check({}), { values: [], shapes: [] });
});

test('of very many mismatches the first twenty are told', () => {
  const value = Array.from({ length: 50 }, () => 'x');
  assert.equal(mismatches({ type: 'array', items: INTEGER }, value).length, 20);
});

test('the path of a key with a slash or a tilde is the key as it is written', () => {
  const check = compileSchemaCheck({ type: 'object', additionalProperties: INTEGER });
  assert.deepEqual(
    check({ 'a/b~c': 'x' }).values.map(({ path }) => path),
    [['a/b~c']],
  );
});
