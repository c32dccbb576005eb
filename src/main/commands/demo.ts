import type { DemoOptions } from '#cli/look-and-check.ts';
import { nextSignal } from '#platform/linux/process/service.ts';
import { runDemo } from '#testbed/demo.ts';

/** `weft demo`; a second Ctrl-C ends it at once, and the next run removes what is left. */
export async function demo(options: DemoOptions): Promise<number> {
  const interruption = new AbortController();
  void nextSignal().then(() => {
    interruption.abort();
    void nextSignal().then(() => process.exit(130));
  });
  return runDemo({
    ...options,
    io: {
      out: (text) => void process.stdout.write(text),
      err: (text) => void process.stderr.write(text),
      interrupted: interruption.signal,
    },
  });
}
