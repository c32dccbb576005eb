import type { BenchOptions } from '#cli/bench.ts';
import { runBench } from '../../../bench/bench.ts';

/** `weft bench`. */
export function bench({ jsonPath }: BenchOptions): Promise<number> {
  return runBench({ jsonPath, out: (text) => void process.stdout.write(text) });
}
