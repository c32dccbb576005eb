/**
 * Runs the tests whose names cite rules of docs/rules and prints a table: rule, outcome, number of tests, their files.
 * Exit code 1 when a test of a rule failed.
 *
 *   node scripts/rules.ts [PAGE...]     only the rules of these pages, such as node-proxy
 */
import { relative } from 'node:path';
import { run } from 'node:test';
import { provingFiles, rulePages } from '../test/structure/rule-pages.ts';
import { type RuleRow, ruleRows, ruleTable, type TestOutcome } from '../test/structure/rule-table.ts';
import { citedRules, definedRules } from '../test/structure/rules.ts';
import { ROOT, withoutComments } from '../test/structure/source-files.ts';

const FILE_MS = 600_000;

const wanted = process.argv.slice(2).flatMap((words) => words.split(/[\s,]+/).filter(Boolean));
const pages = rulePages().filter(({ path }) => wanted.length === 0 || wanted.some((name) => path.endsWith(`/${name}.md`)));
if (pages.length === 0) throw new Error(`docs/rules has no page ${wanted.join(', ')}`);

const ids = new Set(definedRules(pages));
const files = provingFiles()
  .filter(({ path, text }) => path.endsWith('.test.ts') && citedRules(withoutComments(text)).some((id) => ids.has(id)))
  .map(({ path }) => `${ROOT}/${path}`);

const outcomes: TestOutcome[] = [];
for await (const { type, data } of run({ files, concurrency: 2, timeout: FILE_MS })) {
  if (type !== 'test:pass' && type !== 'test:fail') continue;
  const skipped = data.skip !== undefined && data.skip !== false;
  const outcome = type === 'test:fail' ? 'FAIL' : skipped ? 'skipped' : 'pass';
  outcomes.push({ name: data.name, file: relative(ROOT, data.file ?? ''), outcome });
  if (type === 'test:fail')
    process.stderr.write(`FAIL ${data.name}\n    ${String(data.details.error.cause ?? data.details.error)}\n`);
}

const rows: RuleRow[] = ruleRows(pages, outcomes);
process.stdout.write(ruleTable(rows));
process.exitCode = rows.some(({ outcome }) => outcome === 'FAIL') ? 1 : 0;
