// make bench-micro [WRITE=1]: hot functions, as ratios to a yardstick, beside the ratios on record in baseline.json.
import { readFileSync, writeFileSync } from 'node:fs';
import { HOT_FUNCTIONS } from './hot-functions.ts';
import { measure } from './measure.ts';

const PATH = new URL('./baseline.json', import.meta.url);
/** Ratios move so much between engines' moods; more is a change to look at. */
const GROWTH_MAX = 1.25;

const known = JSON.parse(readFileSync(PATH, 'utf8')) as Record<string, number>;
const measured = HOT_FUNCTIONS.map(measure);
const width = Math.max(...measured.map(({ name }) => name.length));
for (const { name, nanoseconds, ratio, spread } of measured) {
  const before = known[name];
  const change = before === undefined ? 'new' : `${(ratio / before).toFixed(2)}× of ${before}`;
  const slower = before !== undefined && spread[0] / before > GROWTH_MAX;
  console.log(
    `${name.padEnd(width)}  ${nanoseconds.toFixed(0).padStart(7)} ns  ${ratio.toFixed(3)} yardsticks  ${change}${slower ? '  SLOWER' : ''}`,
  );
  if (slower) process.exitCode = 1;
}
if (process.argv.includes('--write')) {
  writeFileSync(
    PATH,
    `${JSON.stringify(Object.fromEntries(measured.map(({ name, ratio }) => [name, Number(ratio.toFixed(3))])), null, 2)}\n`,
  );
}
