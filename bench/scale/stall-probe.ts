import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

// Imported into a process that is measured: on SIGUSR2 it tells, as a line of the file in WEFT_STALLS, the longest time that its event
// loop stood still since the last time, and the most CPU that its first thread used between two looks, both in ms: where others want
// the CPU as well, the former is theirs for the most part.
const LOOK_MS = 5;
const path = process.env.WEFT_STALLS ?? '';
if (path !== '') {
  const delay = monitorEventLoopDelay({ resolution: LOOK_MS });
  delay.enable();
  let [lastMs, longestMs] = [cpuMs(), 0];
  const look = (): void => {
    const nowMs = cpuMs();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  setInterval(look, LOOK_MS).unref();
  process.on('SIGUSR2', () => {
    look();
    appendFileSync(path, `${(delay.max / 1e6).toFixed(1)} ${longestMs.toFixed(1)}\n`);
    delay.reset();
    longestMs = 0;
  });
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
