import type { Mishaps } from '#model/effects/mishaps.ts';

/**
 * From here on the process goes on after a mistake that nobody caught: it is told and counted, and what it happened over is
 * left as it is. Only for a process that serves many and whose shared state no such mistake can break (docs/adr/0013-a-mistake-costs-one-connection.md):
 * the agent and the waypoint. Returns how to undo it.
 *
 * Listeners that were there before end the process; they would do so beside this one, and are put aside.
 */
export function surviveMishaps(mishaps: Mishaps): () => void {
  const former = process.listeners('uncaughtException');
  for (const listener of former) process.off('uncaughtException', listener);
  const caught = (error: unknown): void => mishaps.report('process', error);
  process.on('uncaughtException', caught);
  // With a listener of its own a rejection is no exception any more.
  process.on('unhandledRejection', caught);
  return () => {
    process.off('uncaughtException', caught);
    process.off('unhandledRejection', caught);
    for (const listener of former) process.on('uncaughtException', listener);
  };
}
