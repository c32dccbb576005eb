import { writeFile } from 'node:fs/promises';
import { formatTable } from '#cli/table.ts';
import type { CheckResult } from './checks/check.ts';

/** The table that `weft demo --once` ends with. */
export function resultTable(results: readonly CheckResult[]): string {
  return formatTable(
    ['CHECK', 'PATH', 'RESULT', 'SEEN'],
    results.map(({ name, path, ok, detail }) => [name, path, ok ? 'ok' : 'FAILED', detail]),
  );
}

/** Whether every one of `expected` checks ran and passed. */
export function allPassed(results: readonly CheckResult[], expected: number): boolean {
  return results.length === expected && results.every(({ ok }) => ok);
}

/** Writes the results as `{"ok", "checks": [{"name", "path", "ok", "detail"}]}`. */
export async function writeResults(path: string, ok: boolean, results: readonly CheckResult[]): Promise<void> {
  const checks = results.map((result) => ({ name: result.name, path: result.path, ok: result.ok, detail: result.detail }));
  await writeFile(path, `${JSON.stringify({ ok, checks }, null, 2)}\n`);
}
