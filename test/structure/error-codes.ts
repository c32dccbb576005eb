import { isTest, type SourceFile, withoutComments } from './source-files.ts';

/** One row of the reference page. */
export type ErrorRow = { code: string; meaning: string; remedy: string };

/** A code as a literal, or as a key of a table of codes. */
const CODE = /'(WEFT_[A-Z0-9_]+)'|^\s+(WEFT_[A-Z0-9_]+): '/gm;
const VARIABLE = /(?:\benv(?:ironment)?(?:\.|\[')|_VARIABLE = ')(WEFT_[A-Z0-9_]+)/g;

/** Every error code that the sources can raise, sorted; names of environment variables, and what `weft check` alone finds, are left out. */
export function codesIn(files: readonly SourceFile[]): string[] {
  const codes = new Set<string>();
  const variables = new Set<string>();
  for (const file of files.filter(({ path }) => !isTest(path))) {
    const code = withoutComments(file.text);
    for (const [, name = ''] of code.matchAll(VARIABLE)) variables.add(name);
    for (const [, literal, key] of code.matchAll(CODE)) codes.add(literal ?? key ?? '');
  }
  return [...codes].filter((name) => !variables.has(name) && !name.startsWith('WEFT_CHECK_')).sort();
}

/** The rows of the table in docs/errors.md, in order. */
export function rowsOf(page: string): ErrorRow[] {
  const rows: ErrorRow[] = [];
  for (const line of page.split('\n')) {
    const [, code, meaning, remedy] = /^\| `(WEFT_[A-Z0-9_]+)` \| (.*) \| (.*) \|$/.exec(line) ?? [];
    if (code !== undefined) rows.push({ code, meaning: meaning?.trim() ?? '', remedy: remedy?.trim() ?? '' });
  }
  return rows;
}

/** A first version of a row, from the code that raises the error; empty cells are for a person to fill. */
export function draftRow(code: string, files: readonly SourceFile[]): ErrorRow {
  const texts = files.filter(({ path }) => !isTest(path)).map(({ text }) => text);
  for (const text of texts) {
    const described = new RegExp(`^\\s+${code}: '(.*)'`, 'm').exec(text)?.[1];
    if (described !== undefined) return { code, meaning: readable(described), remedy: 'Do what the finding says.' };
  }
  for (const text of texts) {
    const at = text.indexOf(`'${code}'`);
    if (at < 0) continue;
    const near = text.slice(at + code.length + 2, at + 600);
    const meaning = /^,\s*(['`])(.*?)\1/s.exec(near)?.[2] ?? '';
    const remedy = /^[^;]*?\bremedy: (['`])(.*?)\1/s.exec(near)?.[2] ?? '';
    return { code, meaning: readable(meaning), remedy: readable(remedy) };
  }
  return { code, meaning: '', remedy: '' };
}

function readable(literal: string): string {
  return literal
    .replace(/\$\{(?:[^{}]|\{[^}]*\})*\}/g, '…')
    .replaceAll('|', '\\|')
    .replace(/\s+/g, ' ')
    .trim();
}

/** A row as the page holds it. */
export function formatRow({ code, meaning, remedy }: ErrorRow): string {
  return `| \`${code}\` | ${meaning} | ${remedy} |`;
}

/** What keeps the page from being the exact list of codes, with a row to paste for each that is missing. */
export function pageProblems(files: readonly SourceFile[], page: string): string[] {
  const raised = codesIn(files);
  const rows = rowsOf(page);
  const told = rows.map(({ code }) => code);
  return [
    ...raised.filter((code) => !told.includes(code)).map((code) => `add: ${formatRow(draftRow(code, files))}`),
    ...told.filter((code) => !raised.includes(code)).map((code) => `remove: ${code} (nothing raises it)`),
    ...told.filter((code, at) => told.indexOf(code) !== at).map((code) => `remove: a second row for ${code}`),
    ...rows.filter(({ meaning, remedy }) => meaning === '' || remedy === '').map(({ code }) => `fill in the row of ${code}`),
    ...([...told].sort().join() === told.join() ? [] : ['sort the rows by code']),
  ];
}
