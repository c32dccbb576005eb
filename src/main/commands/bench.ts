import type { BenchOptions } from '#cli/look-and-check.ts';
import { nextSignal } from '#platform/linux/process/service.ts';
import { requireMachine } from '#platform/preflight/preflight.ts';
import { runBench } from '../../../bench/bench.ts';

/** `weft bench`; Ctrl-C ends the measurement under way and removes everything, a second one ends it at once. */
export function bench({ jsonPath }: BenchOptions): Promise<number> {
  requireMachine();
  const interruption = new AbortController();
  void nextSignal().then(() => {
    interruption.abort();
    void nextSignal().then(() => process.exit(130));
  });
  return runBench({ jsonPath, out: (text) => void process.stdout.write(text), interrupted: interruption.signal });
}
