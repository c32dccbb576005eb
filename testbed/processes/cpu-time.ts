import { readdirSync, readFileSync } from 'node:fs';

/** Nanoseconds for which threads have run, and for which they could have and had no CPU. */
export type CpuTime = { ran: number; waited: number };

/** Of all threads of these processes (proc_schedstat). Errors: of one that is gone. */
export function cpuTimeOf(...pids: readonly number[]): CpuTime {
  const sum = { ran: 0, waited: 0 };
  for (const pid of pids)
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      const [ran = 0, waited = 0] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ').map(Number);
      sum.ran += ran;
      sum.waited += waited;
    }
  return sum;
}

/** How many times as long as on a CPU of its own everything took; 1: it never waited. */
export function slownessSince(before: CpuTime | undefined, now: CpuTime): number {
  const [ran, waited] = [now.ran - (before?.ran ?? 0), now.waited - (before?.waited ?? 0)];
  return (ran + waited) / Math.max(1, ran);
}
