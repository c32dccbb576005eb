import { Shares } from '#model/share/shares.ts';
import type { DnsEffects, DnsLabels } from '#node-agent/dns/effects.ts';

/** How forwarding one query ended. */
export type ForwardOutcome =
  | { kind: 'reply'; reply: Buffer }
  /** Too many forwarded queries run already. */
  | { kind: 'full' }
  | { kind: 'failed'; error: string };

/** The queries that are with an upstream right now. */
export type Forwards = {
  /** Never rejects; settles within the time limit. */
  forward(query: Buffer, labels: DnsLabels): Promise<ForwardOutcome>;
  /** Gives up every query, and every later one. */
  stop(): void;
};

/** Forwards queries by `effects.forward`, within the limits, and counts them. */
export function createForwards(effects: Pick<DnsEffects, 'forward' | 'clock' | 'counters' | 'limits' | 'workloads'>): Forwards {
  const { counters, clock, limits } = effects;
  const shares = new Shares({
    capacity: limits.forwardsMax,
    holders: () => effects.workloads(),
    ownMax: limits.forwardsPerWorkloadMax,
  });
  const running = new Set<AbortController>();
  let stopped = false;
  return {
    async forward(query, labels) {
      const leave = stopped ? null : shares.enter(labels.workload);
      if (leave === null) return { kind: 'full' };
      const startedMs = clock.monotonicMs();
      const abort = new AbortController();
      const cancel = clock.after(limits.forwardMs, () => abort.abort(new Error(`no reply in ${limits.forwardMs} ms`)));
      running.add(abort);
      counters.upstreamRequest(labels);
      const { workload, transport } = labels;
      // The place is free only when the forwarder let go, so a forwarder that hangs cannot pile up.
      const forwarded = (async () => effects.forward(query, { workload, transport, signal: abort.signal }))().finally(leave);
      try {
        const reply = await Promise.race([forwarded, rejectionOf(abort.signal)]);
        counters.upstreamDuration(labels, clock.monotonicMs() - startedMs);
        return { kind: 'reply', reply };
      } catch (error) {
        counters.upstreamFailure(labels);
        return { kind: 'failed', error: error instanceof Error ? error.message : String(error) };
      } finally {
        cancel();
        running.delete(abort);
      }
    },
    stop() {
      stopped = true;
      for (const abort of running) abort.abort(new Error('the DNS responder is stopping'));
    },
  };
}

function rejectionOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
}
