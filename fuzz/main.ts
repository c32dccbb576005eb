// make fuzz [TARGET=name] [RUNS=n] [SEED=n]: runs the fuzz targets for as long as asked; exit code 1 when one fails.
import { corpusOf, runTarget } from './run-target.ts';
import { TARGETS } from './targets/list.ts';

const RUNS_DEFAULT = 100_000;
const [, , wanted = '', runs = '', seed = ''] = process.argv;
const chosen = TARGETS.filter(({ name }) => wanted === '' || name === wanted);
if (chosen.length === 0) {
  console.error(`there is no target "${wanted}"; write one of ${TARGETS.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}
for (const target of chosen) {
  const options = { runs: Number(runs) || RUNS_DEFAULT, seed: Number(seed) || Date.now() % 2 ** 31 };
  const started = performance.now();
  const outcome = await runTarget(target, corpusOf(target.name), options);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${target.name}: ${outcome.runs} runs in ${seconds.toFixed(1)} s, seed ${options.seed}: ${outcome.failure === null ? 'ok' : 'FAILED'}`,
  );
  if (outcome.failure === null) continue;
  console.log(outcome.failure);
  process.exitCode = 1;
}
