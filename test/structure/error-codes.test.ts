import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { codesIn, draftRow, formatRow, pageProblems } from './error-codes.ts';
import { filesBelow, ROOT } from './source-files.ts';

test('docs/errors.md lists exactly the error codes that the sources raise', () => {
  const page = readFileSync(join(ROOT, 'docs/errors.md'), 'utf8');
  const problems = pageProblems([...filesBelow('src', ['.ts']), ...filesBelow('testbed', ['.ts'])], page);
  assert.deepEqual(problems, [], 'scripts/errors-page drafts what is missing');
});

const source = {
  path: 'src/model/a.ts',
  text: [
    'const debug = process.env.WEFT_DEBUG;',
    "if (name === 'WEFT_DEBUG') return;",
    "// throw new WeftError('WEFT_OLD', 'gone');",
    `throw new WeftError('WEFT_PORT', \`"\${text}" is not a port\`, {`,
    "  remedy: 'write a number from 1 to 65535',",
    '});',
  ].join('\n'),
};

test('the error page test knows codes from environment variables and comments', () => {
  assert.deepEqual(codesIn([source]), ['WEFT_PORT']);
});

test('the error page test knows tables of codes, and names of variables', () => {
  const text = "export const RUN_VARIABLE = 'WEFT_RUN';\nconst CODES = {\n  WEFT_YAML: 'Not YAML.',\n};\n";
  assert.deepEqual(codesIn([{ path: 'src/a.ts', text }]), ['WEFT_YAML']);
  assert.equal(draftRow('WEFT_YAML', [{ path: 'src/a.ts', text }]).meaning, 'Not YAML.');
});

test('a draft row takes its words from the code that raises the error', () => {
  assert.equal(
    formatRow(draftRow('WEFT_PORT', [source])),
    '| `WEFT_PORT` | "…" is not a port | write a number from 1 to 65535 |',
  );
});

const pages = [
  { name: 'a code that has no row', page: '', says: /^add: \| `WEFT_PORT`/ },
  { name: 'a row that has no code', page: '| `WEFT_OLD` | a | b |\n| `WEFT_PORT` | a | b |', says: /^remove: WEFT_OLD/ },
  { name: 'a row told twice', page: '| `WEFT_PORT` | a | b |\n| `WEFT_PORT` | a | b |', says: /second row for WEFT_PORT/ },
  { name: 'a row without a remedy', page: '| `WEFT_PORT` | a |  |', says: /fill in the row of WEFT_PORT/ },
];
for (const { name, page, says } of pages) {
  test(`the error page test sees ${name}`, () => assert.match(pageProblems([source], page).join('; '), says));
}

test('the error page test accepts an exact page', () => {
  assert.deepEqual(pageProblems([source], '| `WEFT_PORT` | a | b |'), []);
});
