import type { Clock } from '#model/effects/clock.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Enrolled } from './enrollment.ts';

/** Where the connections of a workload are seen. */
export type LastBytesView = {
  flows: Pick<KernelMaps['flows'], 'entries' | 'get'>;
  /** Asks those that carry to say when they have nothing of it any more; the result is whether all of them have said so. */
  finish(enrolled: Enrolled): () => boolean;
  clock: Clock;
};

/**
 * Resolves when nothing is under way any more of what a workload wrote whose processes are dead, or after a deadline. Their
 * connections end by themselves, as the kernel closes what a process leaves open; to cut them would lose what was written last.
 */
export async function lastBytesGone(enrolled: Enrolled, { flows, finish, clock }: LastBytesView): Promise<void> {
  const untilMs = clock.monotonicMs() + AGENT.lastBytesMs;
  const holds = async (condition: () => boolean): Promise<void> => {
    while (!condition() && clock.monotonicMs() < untilMs)
      await new Promise<void>((resolve) => void clock.after(AGENT.lastBytesLookMs, resolve));
  };
  // The other ends of these are other workloads' to close.
  const own = flows.entries().flatMap(([cookie, live]) => {
    const owner = live.inbound === 1 ? live.destinationId : live.sourceId;
    return owner === enrolled.id ? [cookie] : [];
  });
  await holds(() => own.every((cookie) => flows.get(cookie) === null));
  await holds(finish(enrolled));
}
