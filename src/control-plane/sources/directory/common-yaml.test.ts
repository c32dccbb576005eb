import assert from 'node:assert/strict';
import test from 'node:test';
import { readCommonYaml } from './common-yaml.ts';
import { readAnyYaml, readRawDocument } from './yaml-documents.ts';

const common: { name: string; text: string; want: unknown }[] = [
  { name: 'maps and lists in blocks', text: 'a:\n  b:\n  - c: d\n    e: f\n', want: { a: { b: [{ c: 'd', e: 'f' }] } } },
  { name: 'maps and lists in brackets', text: 'a: {b: [1, "2", {c: }]}\n', want: { a: { b: [1, '2', { c: null }] } } },
  { name: 'a document of JSON', text: '{"a": {"b": [true, false, null]}}', want: { a: { b: [true, false, null] } } },
  { name: 'numbers of each kind', text: 'a: [0x1F, 0o17, 012, 1.5, 1e3, -7]', want: { a: [31, 15, 12, 1.5, 1000, -7] } },
  { name: 'zero has no sign', text: 'a: [-0, -0.0]', want: { a: [0, 0] } },
  {
    name: 'what looks like a date or a switch is a word',
    text: 'a: [2020-01-01, yes, 1_000]',
    want: { a: ['2020-01-01', 'yes', '1_000'] },
  },
  { name: 'quoted texts', text: `a: ["x\\ty", 'it''s', "*"]`, want: { a: ['x\ty', "it's", '*'] } },
];
for (const { name, text, want } of common) {
  test(`read at once: ${name}`, () => {
    assert.deepEqual(readCommonYaml(text)?.value, want);
    const [full] = readAnyYaml({ text, line: 1 });
    assert.deepEqual(full?.content, { kind: 'value', value: want });
  });
}

const uncommon: { name: string; text: string }[] = [
  { name: 'anchors and aliases', text: 'a: &x 1\nb: *x\n' },
  { name: 'a merge key', text: 'a: {<<: {b: 1}}\n' },
  { name: 'a tag', text: 'a: !!str 1\n' },
  { name: 'a block text', text: 'a: |\n  b\n' },
  { name: 'a key that is no word', text: '8080: a\n' },
  { name: 'an empty key', text: ': a\n' },
  { name: 'a key that objects have', text: '__proto__: {a: 1}\n' },
  { name: 'a key longer than one library takes', text: `${'a'.repeat(1025)}: b\n` },
  { name: 'a number that is too large', text: 'a: 1e999\n' },
  { name: 'a word behind a closed quote', text: 'a:\n- "b" c: d\n' },
  { name: 'a word behind a closed bracket', text: 'a:\n- {b: c}d: e\n' },
  { name: 'a key written twice', text: 'a: 1\na: 2\n' },
  { name: 'two documents', text: 'a: 1\n...\nb: 2\n' },
  { name: 'no map', text: '- a\n' },
  { name: 'nothing', text: '# nothing\n' },
  { name: 'a list without an end', text: 'a: [1\n' },
  { name: 'a list of more levels than a stack has', text: `a: ${'['.repeat(100_000)}` },
];
for (const { name, text } of uncommon) {
  test(`left to the library that knows every form: ${name}`, () => assert.equal(readCommonYaml(text), null));
}

test('a document that is read at once begins where the other library says, and its fields are found', () => {
  const text = '--- # shop\n\n# a\n  kind: Service\n  spec: {ports: [80]}\n';
  const [document] = readRawDocument({ text, line: 10 });
  assert.notEqual(readCommonYaml(text), null);
  assert.equal(document?.line, 13);
  assert.deepEqual(document?.locate([]), { line: 13, column: 3 });
  assert.deepEqual(document?.locate(['spec', 'ports', 0]), { line: 14, column: 18 });
});

test('text that is made to be slow is refused quickly: its length is what it costs', () => {
  for (const text of [
    `a: "${'x"'.repeat(50_000)}`,
    "'".repeat(100_000),
    "- '".repeat(30_000),
    '[ '.repeat(50_000),
    "a: 'x\n".repeat(20_000),
  ])
    assert.equal(readCommonYaml(text), null);
});
