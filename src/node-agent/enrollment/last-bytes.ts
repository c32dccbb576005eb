import type { Clock } from '#model/effects/clock.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Enrolled } from './enrollment.ts';

/** Where the connections of a workload are seen. */
export type LastBytesView = {
  flows: Pick<KernelMaps['flows'], 'entries' | 'get'>;
  /** What the agent carries to a workload of this node. */
  carried: { hasTo(uid: string): boolean };
  clock: Clock;
};

/**
 * Resolves when nothing is under way any more of what a workload wrote whose processes are dead, or after a deadline. Their
 * connections end by themselves, as the kernel closes what a process leaves open; to cut them would lose what was written last.
 */
export async function lastBytesGone({ id, request, calls, pool }: Enrolled, view: LastBytesView): Promise<void> {
  const { flows, clock } = view;
  const untilMs = clock.nowMs() + AGENT.lastBytesMs;
  const holds = async (condition: () => boolean): Promise<void> => {
    while (!condition() && clock.nowMs() < untilMs)
      await new Promise<void>((resolve) => void clock.after(AGENT.lastBytesLookMs, resolve));
  };
  // The other ends of these are other workloads' to close.
  const own = flows.entries().flatMap(([cookie, live]) => {
    const owner = live.inbound === 1 ? live.destinationId : live.sourceId;
    return owner === id ? [cookie] : [];
  });
  await holds(() => calls.size === 0 && !view.carried.hasTo(request.uid) && own.every((cookie) => flows.get(cookie) === null));
  // What a tunnel has taken may still wait in its connection, which has its end in the namespace that is about to go.
  pool.close(false);
  await holds(() => pool.size() === 0);
}
