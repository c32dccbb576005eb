// Brings docs/errors.md up to date: keeps the rows there are, drafts rows for new codes, drops those nothing raises.
import { readFileSync, writeFileSync } from 'node:fs';
import { codesIn, draftRow, formatRow, rowsOf } from '../test/structure/error-codes.ts';
import { filesBelow } from '../test/structure/source-files.ts';

const path = new URL('../docs/errors.md', import.meta.url);
const page = readFileSync(path, 'utf8');
const sources = [...filesBelow('src', ['.ts']), ...filesBelow('testbed', ['.ts'])];
const known = new Map(rowsOf(page).map((row) => [row.code, row]));
const rows = codesIn(sources).map((code) => known.get(code) ?? draftRow(code, sources));
const head = page.slice(0, page.indexOf('| `WEFT_') < 0 ? undefined : page.indexOf('| `WEFT_'));
writeFileSync(path, `${head}${rows.map(formatRow).join('\n')}\n`);
