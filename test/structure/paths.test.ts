import assert from 'node:assert/strict';
import test from 'node:test';
import { missingPaths } from './paths.ts';
import { filesBelow, type SourceFile } from './source-files.ts';

/** The comments of a file; its strings may name what a test makes up. */
function commentsOf({ path, text }: SourceFile): SourceFile {
  const comments = text.match(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*$/gm) ?? [];
  return { path, text: comments.join('\n') };
}

test('documents and comments name files that are there', () => {
  const documents = filesBelow('', ['.md']).filter(({ path }) => !path.startsWith('config/'));
  const code = ['src', 'testbed', 'bench', 'fuzz', 'scripts'].flatMap((folder) => filesBelow(folder, ['.ts']));
  const comments = [...code, ...filesBelow('bpf', ['.c', '.h'])].map(commentsOf);
  assert.deepEqual([...documents, ...comments].flatMap(missingPaths), []);
});

const cases = [
  { text: 'see `src/model/error.ts` and src/model/.', missing: [] },
  { text: 'gone: src/model/gone.ts, and docs/gone.md.', missing: ['src/model/gone.ts', 'docs/gone.md'] },
  { text: 'src/control-plane/kinds/<kind>/ and bpf/attach/*.bpf.c and src/{model,cli}/x', missing: [] },
  { text: '#model/src/gone.ts ../test/gone https://a/docs/gone', missing: [] },
];
for (const { text, missing } of cases) {
  test(`the path test reads "${text}"`, () =>
    assert.deepEqual(
      missingPaths({ path: 'a.md', text }),
      missing.map((path) => `a.md names ${path}`),
    ));
}
