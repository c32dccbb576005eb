import type { DnsEffects, DnsLabels } from '#node-agent/dns/effects.ts';

/** Counts what runs at once, in all and per workload, so that one workload cannot take every place. */
export type Admission = {
  /** Takes a place; the result gives it back (once, however often it is called). Null: full. */
  enter(workload: string): (() => void) | null;
  /** Places taken now. */
  size(): number;
};

/** An admission with no place taken. */
export function createAdmission(totalMax: number, perWorkloadMax: number): Admission {
  const taken = new Map<string, number>();
  let total = 0;
  return {
    enter(workload) {
      const own = taken.get(workload) ?? 0;
      if (total >= totalMax || own >= perWorkloadMax) return null;
      total++;
      taken.set(workload, own + 1);
      let entered = true;
      return () => {
        if (!entered) return;
        entered = false;
        total--;
        const left = (taken.get(workload) ?? 1) - 1;
        if (left === 0) taken.delete(workload);
        else taken.set(workload, left);
      };
    },
    size: () => total,
  };
}

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
export function createForwards(effects: Pick<DnsEffects, 'forward' | 'clock' | 'counters' | 'limits'>): Forwards {
  const { counters, clock, limits } = effects;
  const admission = createAdmission(limits.forwardsMax, limits.forwardsPerWorkloadMax);
  const running = new Set<AbortController>();
  let stopped = false;
  return {
    async forward(query, labels) {
      const leave = stopped ? null : admission.enter(labels.workload);
      if (leave === null) return { kind: 'full' };
      const startedMs = clock.nowMs();
      const abort = new AbortController();
      const cancel = clock.after(limits.forwardMs, () => abort.abort(new Error(`no reply in ${limits.forwardMs} ms`)));
      running.add(abort);
      counters.upstreamRequest(labels);
      const { workload, transport } = labels;
      // The place is free only when the forwarder let go, so a forwarder that hangs cannot pile up.
      const forwarded = (async () => effects.forward(query, { workload, transport, signal: abort.signal }))().finally(leave);
      try {
        const reply = await Promise.race([forwarded, rejectionOf(abort.signal)]);
        counters.upstreamDuration(labels, clock.nowMs() - startedMs);
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
