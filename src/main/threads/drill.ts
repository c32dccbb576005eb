import { AGENT } from '#model/settings/agents.ts';

/** What a process with data threads can be had to do to itself, for those who want to see what comes of it. */
export type Drill = 'busy-control' | 'end-data-thread';

/** Only when WEFT_DRILL names it, which no unit and no manual does: SIGUSR2 then does this. */
export function onDrill(name: Drill, act: () => void): void {
  if (process.env.WEFT_DRILL === name) process.on('SIGUSR2', act);
}

/** Does nothing else in this thread for ten seconds, as a large policy or a first sync would. */
export function keepBusy(): void {
  const endMs = performance.now() + AGENT.drillBusyMs;
  while (performance.now() < endMs);
}
