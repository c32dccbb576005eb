import { absentRules, citedRules, definedRules, type RuleId } from './rules.ts';
import type { SourceFile } from './source-files.ts';

/** A test that has run; `file` relative to the root. */
export type TestOutcome = { name: string; file: string; outcome: 'pass' | 'FAIL' | 'skipped' };

/** What became of one rule: `none`, no test of the run names it; `absent`, the page says that it is not here. */
export type RuleRow = {
  page: string;
  id: RuleId;
  files: readonly string[];
  tests: number;
  outcome: TestOutcome['outcome'] | 'none' | 'absent';
};

/** A row for each rule of the pages, in their order, from the names of the tests of a run; one failed test fails the rule. */
export function ruleRows(pages: readonly SourceFile[], run: readonly TestOutcome[]): RuleRow[] {
  const byRule = new Map<RuleId, TestOutcome[]>();
  for (const test of run) for (const id of citedRules(test.name)) byRule.set(id, [...(byRule.get(id) ?? []), test]);
  const absent = new Set(absentRules(pages));
  return pages.flatMap((page) =>
    definedRules([page]).map((id) => {
      const tests = byRule.get(id) ?? [];
      const files = [...new Set(tests.map(({ file }) => file))].sort();
      const outcome = absent.has(id) ? 'absent' : overall(tests);
      return { page: page.path.replace(/^docs\/rules\//, ''), id, files, tests: tests.length, outcome };
    }),
  );
}

/** The rows as a table of text, with one line of sums. */
export function ruleTable(rows: readonly RuleRow[]): string {
  const head = ['RULE', 'OUTCOME', 'TESTS', 'FILES'];
  const lines = rows.map(({ id, outcome, tests, files }) => [id, outcome, String(tests), files.join(' ')]);
  const widths = head.map((_, column) => Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0)));
  const text = (line: readonly string[]): string =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const counts = Map.groupBy(rows, ({ outcome }) => outcome);
  const sums = [...counts].map(([outcome, { length }]) => `${length} ${outcome}`).sort();
  return [text(head), ...lines.map(text), '', `${rows.length} rules: ${sums.join(', ')}`, ''].join('\n');
}

function overall(tests: readonly TestOutcome[]): RuleRow['outcome'] {
  if (tests.length === 0) return 'none';
  if (tests.some(({ outcome }) => outcome === 'FAIL')) return 'FAIL';
  return tests.some(({ outcome }) => outcome === 'pass') ? 'pass' : 'skipped';
}
