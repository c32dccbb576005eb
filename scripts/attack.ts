/**
 * Runs the attacks of test/security and prints a table: number, attack, outcome. Exit code 1 when one got through.
 *
 *   node scripts/attack.ts [NUMBER...]     only the files of these numbers
 *   WEFT_ATTACK=short                      the rounds of make test, instead of the full ones
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { run } from 'node:test';

const FOLDER = new URL('../test/security', import.meta.url).pathname;
/** Titles of attacks; a test without a number is of the mesh itself. */
const TITLE = /^S(\d+): (.*)$/s;
const FILE_MS = 600_000;

const wanted = process.argv
  .slice(2)
  .flatMap((words) => words.split(/[\s,]+/))
  .filter(Boolean);
const prefixes = wanted.map((number) => `${number.padStart(2, '0')}-`);
const files = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.test.ts') && (prefixes.length === 0 || prefixes.some((one) => file.startsWith(one))))
  .map((file) => join(FOLDER, file));
if (files.length === 0) throw new Error(`test/security has no file for ${wanted.join(', ')}`);

process.env.WEFT_ATTACK ??= 'full';
const count = { held: 0, BROKEN: 0, skipped: 0 };

function print(name: string, outcome: keyof typeof count): void {
  const [, number = '', attack = name] = TITLE.exec(name) ?? [];
  count[outcome] += 1;
  process.stdout.write(`${number.padStart(2)}  ${outcome.padEnd(7)}  ${attack}\n`);
}

process.stdout.write('No  Outcome  Attack\n');
// One file at a time: an attack that floods is to meet one mesh, its own.
const events = run({ files, concurrency: 1, timeout: FILE_MS });
// The events are read one by one: a stream to which only listeners for some are attached may never say that it has ended.
for await (const { type, data } of events) {
  if (type === 'test:pass') {
    if (data.details.type !== 'suite') print(data.name, data.skip === undefined ? 'held' : 'skipped');
  } else if (type === 'test:fail') {
    print(data.name, 'BROKEN');
    process.stdout.write(`    ${String(data.details.error.cause ?? data.details.error)}\n`);
  }
}
process.stdout.write(`\n${count.held} held, ${count.BROKEN} broken, ${count.skipped} skipped\n`);
process.exitCode = count.BROKEN > 0 ? 1 : 0;
