import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import type { FieldPath } from '#control-plane/resources/finding.ts';
import { readYamlDocuments } from './yaml-documents.ts';

/** Values of the documents; null where one is broken. */
function outline(text: string): unknown[] {
  return readYamlDocuments(text).map(({ content }) => (content.kind === 'value' ? content.value : null));
}

const streams: { name: string; text: string; want: unknown[] }[] = [
  { name: 'an empty file has no documents', text: '', want: [] },
  { name: 'comments alone are no document', text: '# a\n---\n# b\n---\n', want: [] },
  { name: 'documents are separated by ---', text: 'a: 1\n---\nb: 2\n', want: [{ a: 1 }, { b: 2 }] },
  { name: 'a document may end with ...', text: 'a: 1\n...\n---\nb: 2\n', want: [{ a: 1 }, { b: 2 }] },
  { name: 'windows line ends and a byte order mark', text: '\uFEFFa: 1\r\n---\r\nb: 2\r\n', want: [{ a: 1 }, { b: 2 }] },
  { name: 'a directive before the first document', text: '%YAML 1.2\n---\na: 1\n', want: [{ a: 1 }] },
  { name: '--- in a block text does not separate when indented', text: 'a: |\n  ---\n  b\n', want: [{ a: '---\nb\n' }] },
  { name: 'an open list ends with its document', text: 'a: [1,\n---\nb: 2\n', want: [null, { b: 2 }] },
  { name: 'an open quote ends with its document', text: 'a: "1\n---\nb: 2\n---\nc: 3', want: [null, { b: 2 }, { c: 3 }] },
  { name: 'a stray brace breaks its own document', text: 'a: 1\n---\n}\n---\nb: 2\n', want: [{ a: 1 }, null, { b: 2 }] },
  { name: 'a tab for indentation', text: '\ta: 1\n---\nb: 2\n', want: [null, { b: 2 }] },
  { name: 'a key written twice', text: 'a: 1\na: 2\n---\nb: 2\n', want: [null, { b: 2 }] },
  { name: 'an alias without anchor', text: 'a: *x\n---\nb: 2\n', want: [null, { b: 2 }] },
  { name: 'an alias to what holds it', text: 'a: &x [*x]\n---\nb: 2\n', want: [null, { b: 2 }] },
  { name: 'anchors and merge keys', text: 'a: &x {p: 1}\nb: {<<: *x, q: 2}\n', want: [{ a: { p: 1 }, b: { p: 1, q: 2 } }] },
  { name: 'a bomb of aliases', text: `a: &a [${'x,'.repeat(20)}]\n${bomb(8)}\n---\nb: 2\n`, want: [null, { b: 2 }] },
];
for (const { name, text, want } of streams) test(name, () => assert.deepEqual(outline(text), want));

function bomb(levels: number): string {
  const names = Array.from({ length: levels }, (_, at) => String.fromCharCode(97 + at));
  return names
    .slice(1)
    .map((name, at) => `${name}: &${name} [${`*${names[at]},`.repeat(20)}]`)
    .join('\n');
}

const TEXT = ['# shop', 'kind: Service', '---', 'spec:', '  rules:', '  - name: one', '    ports: [80, 90]', '  - {}'].join('\n');
const places: { path: FieldPath; part?: 'key'; want: string }[] = [
  { path: [], want: '4:1' },
  { path: ['spec', 'rules', 0, 'name'], want: '6:11' },
  { path: ['spec', 'rules', 0, 'name'], part: 'key', want: '6:5' },
  { path: ['spec', 'rules', 0, 'ports', 1], want: '7:17' },
  { path: ['spec', 'rules', 0, 'missing'], want: '6:5' },
  { path: ['spec', 'rules', 7], want: '6:3' },
];
for (const { path, part, want } of places) {
  test(`${path.join('.') || 'the document'} is found at ${want}`, () => {
    const { line, column } = readYamlDocuments(TEXT)[1]?.locate(path, part) ?? { line: 0, column: 0 };
    assert.equal(`${line}:${column}`, want);
  });
}

test('a syntax mistake has its line, counted from the beginning of the file', () => {
  const [, broken] = readYamlDocuments('a: 1\n---\nb: 1\nc: }\n');
  assert.equal(broken?.content.kind === 'broken' && broken.content.mistakes[0]?.position.line, 4);
});

test('no text makes it throw', () => {
  const piece = fc.constantFrom(
    '---\n',
    'a: ',
    '- ',
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '\n',
    '  ',
    '\t',
    '&a',
    '*a',
    '<<: ',
    '|\n',
    '%',
    '...\n',
    'x',
  );
  fc.assert(fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => void readYamlDocuments(pieces.join(''))));
});

const deep = [
  { name: 'blocks', text: 'a: '.repeat(20_000) },
  { name: 'brackets', text: '['.repeat(50_000) },
  { name: 'closed brackets', text: `a: ${'['.repeat(50_000)}${']'.repeat(50_000)}` },
];
for (const { name, text } of deep) {
  test(`a document of ${name} nested without end is broken alone, and the next one is read`, () => {
    const documents = readYamlDocuments(`${text}\n---\nb: 1\n`);
    assert.equal(documents[0]?.content.kind, 'broken');
    assert.deepEqual(documents.at(-1)?.content, { kind: 'value', value: { b: 1 } });
  });
}
