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
