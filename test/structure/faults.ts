import type { SourceFile } from './source-files.ts';

/** The faults that have a number (F1, F2, …): none may be without a line that brings it about again. */
export const FAULTS = 19;

/** A row of the tables, by the numbers in its first cell. */
type Row = { numbers: number[]; shown: string };

/**
 * What is wrong with the tables of faults in `page`: a number without a row; a row whose last cell names neither a command nor a test,
 * or a test that is not there or has no test of that label.
 */
export function faultProblems(page: string, tests: readonly SourceFile[], count = FAULTS): string[] {
  const rows = page.split('\n').flatMap(rowOf);
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  const missing = numbers.filter((number) => !rows.some((row) => row.numbers.includes(number)));
  return [
    ...missing.map((number) => `F${number} has no row`),
    ...rows.flatMap((row) => row.numbers.flatMap((number) => problemsOf(number, row.shown, tests))),
  ];
}

function rowOf(line: string): Row[] {
  const cells = /^\| (F\d+(?:, F\d+)*) \|(.*)\|$/.exec(line);
  if (cells === null) return [];
  const numbers = (cells[1] ?? '').split(', ').map((label) => Number(label.slice(1)));
  return [{ numbers, shown: (cells[2] ?? '').replace(/\\\|/g, ' ').split(' | ').slice(1).join(' ') }];
}

function problemsOf(number: number, shown: string, tests: readonly SourceFile[]): string[] {
  const named = [...shown.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
  if (named.length === 0) return [`F${number} has neither a command nor a test`];
  const files = named.filter((name) => name.endsWith('.test.ts'));
  if (files.length === 0) return [];
  const label = new RegExp(`\\bF${number}\\b`);
  const isShown = tests.some(({ path, text }) => files.includes(path) && label.test(text));
  return isShown ? [] : [`F${number}: none of ${files.join(', ')} has a test of that label`];
}

/**
 * What is wrong with the table of faults, their tests and their siblings in `page`: a number that has not exactly one row, a file that
 * is named for it and has no test of its label, one that has and is not named, or nothing said of what was found beside it.
 */
export function faultTableProblems(page: string, tests: readonly SourceFile[], count = FAULTS): string[] {
  const rows = page.split('\n').flatMap((line) => {
    const [, number, what = '', shown = '', siblings = ''] = /^\| F(\d+) \|([^|]*)\|([^|]*)\|([^|]*)\|$/.exec(line) ?? [];
    return number === undefined ? [] : [{ number: Number(number), what, siblings, files: namesIn(shown) }];
  });
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  return [
    ...numbers
      .map((number) => [number, rows.filter((row) => row.number === number).length])
      .flatMap(([number, found]) => (found === 1 ? [] : [`F${number} has ${found} rows`])),
    ...rows.flatMap(({ number, what, siblings, files }) => {
      const labelled = tests.filter(({ text }) => labelsIn(text).has(number)).map(({ path }) => path);
      return [
        ...(what.trim() === '' || siblings.trim() === ''
          ? [`F${number} does not say what it was, or what was found beside it`]
          : []),
        ...(files.length === 0 ? [`F${number} has no test`] : []),
        ...files.filter((file) => !labelled.includes(file)).map((file) => `F${number}: ${file} has no test of that label`),
        ...labelled.filter((path) => !files.includes(path)).map((path) => `F${number}: ${path} has a test of that label`),
      ];
    }),
  ];
}

function namesIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

/** The numbers with which names of tests, or of cases of them, begin. */
function labelsIn(text: string): Set<number> {
  const heads = [...text.matchAll(/(?:\btest\(|\bname: )\s*[`'"]((?:[A-Z]\d+(?:, | ))*(?:[A-Z]\d+))\b/g)];
  return new Set(heads.flatMap((match) => [...(match[1] ?? '').matchAll(/\bF(\d+)\b/g)].map((label) => Number(label[1]))));
}
