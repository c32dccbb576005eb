import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';

import { HOOK, REASON } from '#model/kernel/abi.ts';
import { type KernelLimits, type KernelMaps, MAPS, type MapKey } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { IdTable } from '#model/path/ids.ts';
import { AGENT } from '#model/settings/agents.ts';
import { shareLimits } from '#model/share/shares.ts';
import { NO_PATH, REFUSED_OUTCOME, recordOf } from '#model/telemetry/access-record.ts';
import { CLOSE_CAUSES } from '#model/telemetry/close-cause.ts';
import type { Meters } from '#model/telemetry/meters.ts';
import type { PeerSeries } from '#model/telemetry/peer-series.ts';
import type { Kernel } from '#node-agent/effects/agent-effects.ts';
import { causeOf, isConnection, reporterOf } from './events.ts';

/** What the kernel's counts are explained by, and where that goes. */
export type ShareView = {
  readonly mesh: MeshState;
  readonly ids: IdTable;
  readonly clock: Clock;
  readonly log: Log;
  readonly meters: Meters;
  readonly peers: PeerSeries;
};

/** The connections that the agent can carry, and among how many workloads they are shared. */
export type CarriedPlaces = { readonly capacity: number; holders: number };

/** What one workload of `workloads` may hold of the kernel's tables, and of the `carriedMax` connections of its agent. */
export function kernelLimits(workloads: number, carriedMax: number): KernelLimits {
  const live = shareLimits(MAPS.flows.entriesMax, workloads);
  const carried = shareLimits(carriedMax, workloads);
  return {
    liveAssured: live.assured,
    liveOpen: live.open,
    carriedAssured: carried.assured,
    carriedOpen: carried.open,
    events: AGENT.eventsPerSecond,
  };
}

/** How many connections an agent may carry that may open `descriptors`. */
export function carriedCapacity(descriptors: number): number {
  return Math.max(1, Math.min(AGENT.carriedMax, Math.floor((descriptors - AGENT.descriptorsReserved) / 2)));
}

/** The agent's side of bpf/lib/share.h: how much each workload may hold, and what the kernel counted without a report. */
export class KernelShares {
  readonly #maps: KernelMaps;
  readonly #view: ShareView;
  readonly #places: CarriedPlaces;
  /** What of each count has been told; a former agent's are its own. */
  readonly #cancel: Cancel;
  #workloads = -1;
  readonly #told = new Map<string, bigint>();

  /** `places`: of those who carry. */
  constructor({ maps, adopted }: Pick<Kernel, 'maps' | 'adopted'>, view: ShareView, places: CarriedPlaces) {
    this.#maps = maps;
    // The dials that a former agent wrote clients down for have ended with it.
    if (adopted) for (const [key] of maps.peers.entries()) maps.peers.delete(key);
    this.#view = view;
    this.#places = places;
    for (const [key, times] of maps.untold.entries()) this.#told.set(nameOf(key), times);
    this.#spread();
    this.#cancel = view.clock.every(AGENT.untoldPeriodMs, () => {
      this.#spread();
      this.tellUntold();
    });
  }

  /** How many are enrolled. */
  get workloads(): number {
    return this.#workloads;
  }

  /** Touches the kernel no more. */
  stop(): void {
    this.#cancel();
  }

  /** A workload left. Its open sockets go on counting in the sum of the node, until they end. */
  forget(id: number): void {
    this.tellUntold(); // or what it was refused last would be missing in the metrics
    this.#maps.shares.delete(id);
    for (const [key] of this.#maps.untold.entries()) {
      if (key.workloadId !== id) continue;
      this.#maps.untold.delete(key);
      this.#told.delete(nameOf(key));
    }
  }

  /** One line, and an exact count in the metrics, for refusals that the kernel counted but did not report. */
  tellUntold(): void {
    for (const [key, times] of this.#maps.untold.entries()) {
      const name = nameOf(key);
      const more = Number(times - (this.#told.get(name) ?? 0n));
      if (more <= 0) continue;
      this.#told.set(name, times);
      this.#tell(key, more);
    }
  }

  /** Writes what each workload may hold, when they became more or fewer; what one holds beyond it stays, and it gets no more. */
  #spread(): void {
    const workloads = this.#maps.workloads.entries().length;
    if (workloads === this.#workloads) return;
    this.#workloads = workloads;
    this.#maps.limits.set(0, kernelLimits(workloads, this.#places.capacity));
    this.#places.holders = workloads;
  }

  #tell({ workloadId, reason, hook }: MapKey<'untold'>, more: number): void {
    const { mesh, ids, log, meters, peers } = this.#view;
    if (reason < REASON.denied) {
      // Ends of connections that it carried, of which the metrics have the sums (KernelTraffic).
      const workload = ids.nameOf(workloadId) ?? undefined;
      return void log.info(
        { workload, left_out: more },
        'more connections that the kernel carried ended than it reports one by one',
      );
    }
    const cause = causeOf(reason);
    const reporter = reporterOf(hook);
    // Frames that ended on their link have a metric of their own, which the kernel counts.
    if (hook !== HOOK.link) meters.counter('weft_refusals_total', { reporter, cause }).add(more);
    const workload = mesh.workload(ids.nameOf(workloadId) ?? '');
    const isSource = reporter === 'source';
    const opener = { end: null, workload: isSource ? workload : null, identity: null };
    const path = { ...NO_PATH, workload: isSource ? null : workload };
    const { flag, means } = CLOSE_CAUSES[cause];
    const record = recordOf(opener, { reporter, dialled: null }, path, { ...REFUSED_OUTCOME, flag, cause, error: means });
    if (isConnection(hook, cause))
      peers.count('istio_tcp_connections_failed_total', opener, { reporter, dialled: null }, path, flag).add(more);
    log.warn({ ...record, left_out: more }, 'more connections were refused by the kernel than it reports one by one');
  }
}

function nameOf({ workloadId, reason, hook }: MapKey<'untold'>): string {
  return `${workloadId}|${reason}|${hook}`;
}
