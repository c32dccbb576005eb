import assert from 'node:assert/strict';
import test from 'node:test';
import { formatFieldPath } from './finding.ts';
import type { Schema } from './schema.ts';
import { findUnknownFields } from './unknown-fields.ts';

const TEXT: Schema = { type: 'string' };
const SCHEMA: Schema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        methods: { type: 'array', items: TEXT },
        rules: { type: 'array', items: { type: 'object', properties: { ports: TEXT } } },
        labels: { type: 'object', additionalProperties: TEXT },
        anything: { type: 'object' },
        open: { type: 'object', properties: { known: TEXT }, additionalProperties: true },
        kept: { type: 'object', properties: { known: TEXT }, 'x-kubernetes-preserve-unknown-fields': true },
        named: { type: 'object', additionalProperties: { type: 'object', properties: { port: TEXT } } },
      },
    },
    status: { type: 'object', properties: { phase: TEXT } },
  },
};

const cases: { name: string; object: unknown; want: string[] }[] = [
  { name: 'every field is known', object: { spec: { methods: ['GET'], rules: [{ ports: '80' }] } }, want: [] },
  { name: 'a misspelt field', object: { spec: { method: ['GET'] } }, want: ['spec.method'] },
  { name: 'one in an item of a list', object: { spec: { rules: [{}, { port: '80' }] } }, want: ['spec.rules[1].port'] },
  { name: 'one at the top', object: { spek: {} }, want: ['spek'] },
  { name: 'several, in order', object: { spec: { x: 1, rules: [{ y: 1 }] }, z: 1 }, want: ['spec.x', 'spec.rules[0].y', 'z'] },
  { name: 'any key where keys are names', object: { spec: { labels: { whatever: 'x' } } }, want: [] },
  { name: 'a misspelt field under such a key', object: { spec: { named: { a: { prot: 'x' } } } }, want: ['spec.named.a.prot'] },
  { name: 'anything in an object without a shape', object: { spec: { anything: { x: { y: 1 } } } }, want: [] },
  { name: 'others beside the known where the schema says so', object: { spec: { open: { x: 1 } } }, want: [] },
  { name: 'others that Kubernetes is told to keep', object: { spec: { kept: { x: 1 } } }, want: [] },
  { name: 'a field of the status, which no author writes', object: { status: { later: 1 } }, want: [] },
  {
    name: 'a name that every object inherits',
    object: { spec: { constructor: 1, toString: 1 } },
    want: ['spec.constructor', 'spec.toString'],
  },
  { name: 'no object at all', object: 'text', want: [] },
  { name: 'nothing where an object may be', object: { spec: null }, want: [] },
];
for (const { name, object, want } of cases) {
  test(`unknown fields: ${name}`, () =>
    assert.deepEqual(
      findUnknownFields(object, SCHEMA, 'error').map(({ path }) => formatFieldPath(path)),
      want,
    ));
}

test('a field close to a known one is told with the one that was meant', () => {
  const [problem] = findUnknownFields({ spec: { method: [] } }, SCHEMA, 'error');
  assert.deepEqual(
    [problem?.code, problem?.severity, problem?.message, problem?.remedy],
    ['WEFT_FIELD_UNKNOWN', 'error', 'field "method" is unknown here, did you mean "methods"?', 'write methods'],
  );
});

test('one far from all is told with those there are, as long as they are few', () => {
  const [problem] = findUnknownFields({ spec: { zzz: 1 } }, SCHEMA, 'warning');
  assert.deepEqual(
    [problem?.severity, problem?.message, problem?.remedy],
    ['warning', 'field "zzz" is unknown here', 'remove it, or use one of: methods, rules, labels, anything, open, kept, named'],
  );
  const many = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`field${at}x`, TEXT]));
  const [crowded] = findUnknownFields({ zzz: 1 }, { type: 'object', properties: many }, 'warning');
  assert.match(crowded?.remedy ?? '', /, …$/);
});
