import type { Cancel } from '#model/effects/clock.ts';
import { messageOf } from '#model/error.ts';
import { CONFIG_FLAG } from '#model/kernel/abi.ts';
import type { LiveFlow } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { IdTable } from '#model/path/ids.ts';
import { connectionOf, decideL4, type L4Decision, pairVerdict, policiesFor } from '#model/policy/l4.ts';
import { AGENT } from '#model/settings/agents.ts';
import { type AccessRecord, NO_PATH, REFUSED_OUTCOME, recordOf } from '#model/telemetry/access-record.ts';
import type { Kernel, ReportEffects } from '#node-agent/effects/agent-effects.ts';
import { DryRunTally } from './dry-run-tally.ts';

/** In place of a generation, of which the first is 1: a connection that no verdict of ours allowed. */
export const FOUND = 0;

/** What verdicts are computed from. */
export type VerdictView = {
  mesh: MeshState;
  ids: IdTable;
  /** Records of the workloads enrolled on this node. */
  local(): Workload[];
  /** Aborts a kernel connection of an enrolled namespace. */
  destroy(flow: LiveFlow): boolean;
};

/** Where closed connections are told, and the time of the second look. */
export type VerdictEffects = Omit<ReportEffects, 'peers'>;

/** Fills the kernel's verdict cache and closes what a new policy denies. The only writer of generations. */
export class Verdicts {
  readonly #kernel: Kernel;
  readonly #view: VerdictView;
  readonly #effects: VerdictEffects;
  #generation: number;
  #incomplete = true;
  #cancelSweep: Cancel = () => {};

  constructor(kernel: Kernel, view: VerdictView, effects: VerdictEffects) {
    this.#kernel = kernel;
    this.#view = view;
    this.#effects = effects;
    this.#generation = kernel.adopted ? (kernel.maps.config.get(0)?.generation ?? 1) : 1;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Writes the configuration word; `incomplete`: the address maps do not hold the whole mesh. */
  publish(incomplete: boolean): void {
    this.#incomplete = incomplete;
    this.#kernel.maps.config.set(0, {
      schema: this.#kernel.schema,
      generation: this.#generation,
      flags: incomplete ? CONFIG_FLAG.incomplete : 0,
      outboundPort: PORT.outbound,
      plaintextPort: PORT.plaintext,
      hbonePort: PORT.hbone,
      dnsPort: PORT.dns,
      waypointPort: PORT.waypoint,
      lastId: this.#view.ids.last,
    });
  }

  /**
   * A policy or a workload changed: every cached verdict becomes a miss at once, the pairs of this node get new
   * ones, and live connections that are now denied are closed.
   */
  renew(): void {
    const next = this.#generation + 1;
    try {
      this.#fill(next, null); // before the switch, so that no connection has to wait for the agent
    } catch (error) {
      // The generation rises all the same: a miss is only slower, an old verdict that stays valid is wrong.
      this.#effects.log.error({ error: messageOf(error) }, 'verdicts cannot be written ahead');
    }
    this.#generation = next;
    this.publish(this.#incomplete);
    this.closeDenied();
    this.#cancelSweep();
    this.#cancelSweep = this.#effects.clock.after(AGENT.secondSweepMs, () => this.closeDenied());
  }

  /** Verdicts for pairs of these workloads that have none yet (one was enrolled or got a new port). */
  fill(uids: ReadonlySet<string>): void {
    if (uids.size > 0) this.#fill(this.#generation, uids);
  }

  /** Remembers the outcome of one evaluated connection; false when it depends on more than the pair and port. */
  remember(source: Workload | null, destination: Workload, port: number): boolean {
    const allow = pairVerdict(policiesFor(this.#view.mesh, destination), source, destination, port);
    return this.#write(source, destination, port, allow, this.#generation);
  }

  /** Touches the kernel no more. */
  stop(): void {
    this.#cancelSweep();
  }

  /** Closes live kernel connections that policy now denies; returns how many. */
  closeDenied(): number {
    let closed = 0;
    for (const [socketCookie, live] of this.#kernel.maps.flows.entries()) {
      const decision = this.#judge(live);
      if (decision === null || decision.allowed) continue;
      const destroyed = this.#destroy(live);
      // Found by the agent, not seen by the kernel's programs, which may not hear of its end either.
      if (live.generation === FOUND) this.#kernel.maps.flows.delete(socketCookie);
      if (!destroyed) continue;
      closed++;
      const reporter = live.inbound === 1 ? 'destination' : 'source';
      this.#effects.meters.counter('weft_refusals_total', { reporter, cause: 'policy-change' }).add();
      this.#effects.log.warn(
        { ...this.#closeRecord(live, decision), cookie: String(socketCookie) },
        'connection closed due to policy change',
      );
    }
    return closed;
  }

  /** One connection that cannot be closed must not save the next. */
  #destroy(live: LiveFlow): boolean {
    try {
      return this.#view.destroy(live);
    } catch (error) {
      this.#effects.log.error({ error: messageOf(error) }, 'a connection that policy denies cannot be closed');
      return false;
    }
  }

  #closeRecord({ flow, inbound, sourceId, destinationId }: LiveFlow, { policy, rule, reason }: L4Decision): AccessRecord {
    const { mesh, ids } = this.#view;
    const workloadOf = (id: number): Workload | null => mesh.workload(ids.nameOf(id) ?? '');
    const { source, destination, sourcePort, destinationPort } = flow;
    return recordOf(
      { end: source === null ? null : { ip: source, port: sourcePort }, workload: workloadOf(sourceId), identity: null },
      { reporter: inbound === 1 ? 'destination' : 'source', dialled: null },
      {
        ...NO_PATH,
        end: destination === null ? null : { ip: destination, port: destinationPort },
        workload: workloadOf(destinationId),
      },
      { ...REFUSED_OUTCOME, flag: 'DENY', cause: 'policy-change', policy, rule, error: reason },
    );
  }

  #judge(live: LiveFlow): L4Decision | null {
    const { mesh, ids } = this.#view;
    const destination = mesh.workload(ids.nameOf(live.destinationId) ?? '');
    const source = live.sourceId === 0 ? null : mesh.workload(ids.nameOf(live.sourceId) ?? '');
    const { flow } = live;
    if (destination === null || flow.source === null || flow.destination === null) return null;
    if (live.sourceId !== 0 && source === null) return null;
    return decideL4(
      policiesFor(mesh, destination),
      connectionOf(source, flow.source, { ip: flow.destination, port: flow.destinationPort }),
    );
  }

  /**
   * Pairs of this node first; then what is denied towards other nodes, so that connect() itself can refuse it.
   * `only`: just the pairs in which one of these workloads takes part; null: all.
   */
  #fill(generation: number, only: ReadonlySet<string> | null): void {
    const tally = new DryRunTally();
    this.#fillPairs(generation, only, tally);
    tally.report(this.#effects);
  }

  #fillPairs(generation: number, only: ReadonlySet<string> | null, tally: DryRunTally): void {
    const local = this.#view.local();
    let pairs = 0;
    for (const destination of [...local, ...this.#remote(local)]) {
      const here = local.includes(destination);
      const set = policiesFor(this.#view.mesh, destination);
      for (const source of here ? [null, ...local] : local) {
        if (source === destination) continue;
        if (only !== null && !only.has(destination.uid) && (source === null || !only.has(source.uid))) continue;
        for (const port of targetPorts(destination)) {
          if (++pairs > AGENT.eagerPairsMax) return;
          const allow = pairVerdict(set, source, destination, port);
          if (here || allow === false) this.#write(source, destination, port, allow, generation);
          if (here && source !== null) tally.add(set, source, destination, port);
        }
      }
    }
  }

  *#remote(local: readonly Workload[]): Generator<Workload> {
    const here = new Set(local.map(({ uid }) => uid));
    for (const workload of this.#view.mesh.workloads()) {
      if (workload.tunnelProtocol === 'hbone' && !here.has(workload.uid)) yield workload;
    }
  }

  #write(source: Workload | null, destination: Workload, port: number, allow: boolean | null, generation: number): boolean {
    if (allow === null) return false;
    const { ids } = this.#view;
    const key = {
      sourceId: source === null ? 0 : ids.of('workload', source.uid),
      destinationId: ids.of('workload', destination.uid),
      port,
    };
    this.#kernel.maps.verdicts.set(key, { generation, allow: allow ? 1 : 0 });
    return true;
  }
}

function targetPorts(workload: Workload): Set<number> {
  return new Set(
    [...workload.services.values()].flatMap((ports) => ports.map((port) => port.targetPort)).filter((port) => port > 0),
  );
}

/** Whether a workload's change can change a verdict: a new one cannot, it has no verdicts yet. */
export function decidesOtherwise(before: Workload | null, after: Workload | null): boolean {
  if (before === null || after === null) return false;
  return (
    before.namespace !== after.namespace ||
    before.serviceAccount !== after.serviceAccount ||
    before.trustDomain !== after.trustDomain ||
    before.authorizationPolicies.join() !== after.authorizationPolicies.join() ||
    before.addresses.join() !== after.addresses.join()
  );
}
