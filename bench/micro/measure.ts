import { performance } from 'node:perf_hooks';

/** A hot function on its usual input; `run` calls it `times` times and returns something that depends on every call. */
export type HotFunction = { readonly name: string; run(times: number): unknown };

/** Nanoseconds a call, and how many yardsticks that is; medians of alternating samples. */
export type Measured = { name: string; nanoseconds: number; ratio: number; spread: readonly [number, number] };

const SAMPLES = 31;
/** A sample takes about so long: far above the clock's grain, far below a scheduler's patience. */
const SAMPLE_MS = 4;

const YARDSTICK_TEXT = JSON.stringify({
  kind: 'Service',
  ports: [80, 8080, 15008],
  labels: { app: 'cart', tier: 'web' },
  text: 'x'.repeat(64),
});

/**
 * What everything is compared with: reading a small JSON text. It is the engine's own work on strings and objects, as
 * ours is, so a faster machine or another engine moves both.
 */
export const YARDSTICK: HotFunction = {
  name: 'yardstick',
  run(times) {
    let sum = 0;
    for (let at = 0; at < times; at++) sum += (JSON.parse(YARDSTICK_TEXT) as { ports: number[] }).ports.length;
    return sum;
  },
};

function sampleMs(hot: HotFunction, times: number): number {
  const started = performance.now();
  const result = hot.run(times);
  const tookMs = performance.now() - started;
  // The result is used, so that no call is optimized away.
  if (result === undefined) throw new Error(`${hot.name} came to nothing`);
  return tookMs;
}

/** How often to call so that a sample takes SAMPLE_MS; the calls also warm the function up. */
function timesFor(hot: HotFunction): number {
  let times = 64;
  for (let round = 0; round < 24; round++) {
    const tookMs = sampleMs(hot, times);
    times = Math.max(1, Math.min(times * 4, Math.round((times * SAMPLE_MS) / Math.max(tookMs, 0.001))));
  }
  return times;
}

/** Measures a function against the yardstick, sample by sample, so that both meet the same moments of the machine. */
export function measure(hot: HotFunction): Measured {
  const [times, yardTimes] = [timesFor(hot), timesFor(YARDSTICK)];
  const nanoseconds: number[] = [];
  const ratios: number[] = [];
  for (let at = 0; at < SAMPLES; at++) {
    const [ours, yard] = [sampleMs(hot, times) / times, sampleMs(YARDSTICK, yardTimes) / yardTimes];
    nanoseconds.push(ours * 1e6);
    ratios.push(ours / yard);
  }
  const sorted = ratios.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.round(share * (sorted.length - 1))] ?? 0;
  nanoseconds.sort((a, b) => a - b);
  return { name: hot.name, nanoseconds: nanoseconds[SAMPLES >> 1] ?? 0, ratio: at(0.5), spread: [at(0.1), at(0.9)] };
}
