import { resolveImport } from './layers.ts';
import type { Amounts } from './ratchet.ts';
import { importsOf, isTest, type SourceFile } from './source-files.ts';

/** Lines of a file that is not a test. */
export const FILE_LINES_MAX = 300;
/** Lines of any file, exceptions included. */
export const FILE_LINES_CEILING = 500;
/** Lines of a function, from its first line to its closing brace. */
export const FUNCTION_LINES_MAX = 70;

/** Files with more lines than their kind may have: path → lines. Tests are tables and may be longer. */
export function longFiles(files: readonly SourceFile[]): Amounts {
  const found: Record<string, number> = {};
  for (const file of files) {
    const lines = file.text.trimEnd().split('\n').length;
    if (lines > (isTest(file.path) ? FILE_LINES_CEILING : FILE_LINES_MAX)) found[file.path] = lines;
  }
  return found;
}

/** Below so many lines a file with one importer belongs into it, unless it is a concept of its own. */
export const TINY_LINES = 30;

/** Product files of less than TINY_LINES lines that exactly one product file imports: path → lines. */
export function tinyFiles(files: readonly SourceFile[]): Amounts {
  const product = files.filter(({ path }) => !isTest(path));
  const importers = new Map<string, Set<string>>();
  for (const file of product) {
    for (const { from } of importsOf(file)) {
      const target = resolveImport(file.path, from);
      if (target !== null) importers.set(target, (importers.get(target) ?? new Set()).add(file.path));
    }
  }
  const found: Record<string, number> = {};
  for (const { path, text } of product) {
    const lines = text.trimEnd().split('\n').length;
    if (lines < TINY_LINES && importers.get(path)?.size === 1) found[path] = lines;
  }
  return found;
}

/** The middle of the files' lengths in lines; tests are left out. */
export function medianLines(files: readonly SourceFile[]): number {
  const lengths = files.filter(({ path }) => !isTest(path)).map(({ text }) => text.trimEnd().split('\n').length);
  return lengths.sort((a, b) => a - b)[lengths.length >> 1] ?? 0;
}

/** Share of lines that are, or carry, a comment: 0 to 1. */
export function commentShare(files: readonly SourceFile[]): number {
  const lines = files.flatMap(({ text }) => text.trimEnd().split('\n'));
  return lines.filter((line) => /^\s*(\/\/|\/\*|\*)|\s\/\/ |\/\*.*\*\//.test(line)).length / lines.length;
}

const OPENINGS = [
  /^(\s*)(?:export )?(?:async )?function\*? ?(\w+)/,
  /^(\s*)(?:export )?const (\w+) = (?:async )?(?:<[^=]*>)?\((?!\()/,
  /^(\s+)(?:(?:static|async|get|set|override) )*\*?(#?\w+)(?:<[^=]*>)?\(/,
];
const NOT_FUNCTIONS = new Set(['if', 'for', 'while', 'switch', 'catch', 'return', 'function', 'await']);

/** Functions with more lines than FUNCTION_LINES_MAX: `path name` → lines. Finds them by the formatter's indentation. */
export function longFunctions(files: readonly SourceFile[]): Amounts {
  const found: Record<string, number> = {};
  for (const file of files) {
    const lines = file.text.split('\n');
    lines.forEach((line, at) => {
      const opening = openingOf(line);
      if (opening === null) return;
      const length = lengthFrom(lines, at, opening.indent);
      if (length > FUNCTION_LINES_MAX) found[`${file.path} ${opening.name}`] = length;
    });
  }
  return found;
}

function openingOf(line: string): { indent: string; name: string } | null {
  for (const pattern of OPENINGS) {
    const [, indent, name] = pattern.exec(line) ?? [];
    // A call ends its line with `)`, `;` or `,`; a definition opens a block or a list of parameters.
    if (indent !== undefined && name !== undefined && !NOT_FUNCTIONS.has(name) && /[{(]$/.test(line)) return { indent, name };
  }
  return null;
}

/** Lines until the brace that closes at `indent`; 0 when what opened was a call, which closes with a parenthesis. */
function lengthFrom(lines: readonly string[], start: number, indent: string): number {
  for (let at = start + 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    if (!line.startsWith(indent) || /^\s/.test(line.slice(indent.length)) || line === '') continue;
    const rest = line.slice(indent.length);
    if (/^[)}\]].*[{(]$/.test(rest)) continue; // the parameters end here, the body begins
    return rest.startsWith('}') && !rest.startsWith('})') ? at - start + 1 : 0;
  }
  return 0;
}
