import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

// Imported into a process that is measured: on SIGUSR2 it tells the longest time that its event loop stood still since the last
// time, in ms, as a line of the file in WEFT_STALLS.
const path = process.env.WEFT_STALLS ?? '';
if (path !== '') {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  process.on('SIGUSR2', () => {
    appendFileSync(path, `${(delay.max / 1e6).toFixed(1)}\n`);
    delay.reset();
  });
}
