// make fuzz FOR=long [RUNS=n] [SEED=n]: parsers of ours beside those of others; exit code 1 at a difference that nothing explains.
import { COMPARISONS } from './list.ts';
import { runComparison } from './run.ts';

/** Of each. */
const RUNS_DEFAULT = 5_000_000;
const [, , wanted = '', runs = '', seed = ''] = process.argv;
const chosen = COMPARISONS.filter(({ name }) => wanted === '' || name === wanted);
if (chosen.length === 0) {
  console.error(`there is no comparison "${wanted}"; write one of ${COMPARISONS.map(({ name }) => name).join(', ')}`);
  process.exitCode = 2;
}
for (const comparison of chosen) {
  if (comparison.missing !== null) {
    console.log(`${comparison.name}: NOT COMPARED: ${comparison.missing}`);
    process.exitCode = 1;
    continue;
  }
  const from = Number(seed) || Date.now() % 2 ** 31;
  const started = performance.now();
  const told = runComparison(comparison, from, 0, Number(runs) || RUNS_DEFAULT);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const ending = told.failure === null ? 'ok' : 'FAILED';
  console.log(
    `${comparison.name}: ${told.runs} runs in ${seconds} s, seed ${from}: ${told.agreed} read alike, ${told.refused} refused by both: ${ending}`,
  );
  for (const [reason, count] of told.explained) console.log(`  ${count} explained: ${reason}`);
  if (told.failure === null) continue;
  console.log(told.failure);
  process.exitCode = 1;
}
