import type { Cancel } from '#model/effects/clock.ts';
import { messageOf } from '#model/error.ts';
import { CONFIG_FLAG } from '#model/kernel/abi.ts';
import type { LiveFlow } from '#model/kernel/maps.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { Workload } from '#model/mesh/workload.ts';
import { connectionOf, decideL4, isUndecided, type L4Decision, pairVerdict, policiesFor } from '#model/policy/l4.ts';
import { AGENT } from '#model/settings/agents.ts';
import { type AccessRecord, NO_PATH, REFUSED_OUTCOME, recordOf } from '#model/telemetry/access-record.ts';
import { CLOSE_CAUSES, type CloseCause } from '#model/telemetry/close-cause.ts';
import type { Kernel, ReportEffects } from '#node-agent/effects/agent-effects.ts';
import type { Party } from '#node-agent/enrollment/local-records.ts';
import { DryRunTally } from './dry-run-tally.ts';
import { eagerPairs } from './pairs.ts';

/** In place of a generation, of which the first is 1: a connection that no verdict of ours allowed. */
export const FOUND = 0;

/** What verdicts are computed from. */
export type VerdictView = {
  mesh: MeshState;
  /** Records of the workloads enrolled on this node. */
  local(): Workload[];
  /** The kernel's number for what a record describes; null: of nobody that is there now. */
  idOf(workload: Workload): number | null;
  /** An end of a live connection: its identity, the record of its policies, whether plain text passes these, ports of its kubelet; null: it has left. */
  party(id: number): Party | null;
  /** The highest number given so far. */
  lastId(): number;
  /** The whole mesh is known, and all are enrolled that are to be: who is not there has left. */
  isWhole(): boolean;
  /** Datagrams to workloads of other nodes may go in clear. */
  datagramsClear: boolean;
  /** Aborts a kernel connection of an enrolled namespace. */
  destroy(flow: LiveFlow, socketCookie: bigint): boolean;
};

/** The decision on a connection one of whose ends is no longer enrolled. */
const LEFT: L4Decision = { allowed: false, policy: null, rule: null, reason: 'one of its ends left the mesh' };

/** Where closed connections are told, and the time of the second look. */
export type VerdictEffects = Omit<ReportEffects, 'peers'>;

/** Fills the kernel's verdict cache and closes what a new policy denies. The only writer of generations. */
export class Verdicts {
  readonly #kernel: Kernel;
  readonly #view: VerdictView;
  readonly #effects: VerdictEffects;
  #generation: number;
  #incomplete = true;
  readonly #remembered = new Map<string, number>();
  #cancelSweep: Cancel = () => {};
  /** Connections that were closed, by their sockets, until their ends are told. */
  readonly #closed = new Map<bigint, CloseCause>();
  /** Numbers of enrolments that ended, whose traces are still to go. */
  readonly #left = new Set<number>();
  #cancelForget: Cancel = () => {};

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
      flags: (incomplete ? CONFIG_FLAG.incomplete : 0) | (this.#view.datagramsClear ? CONFIG_FLAG.datagramsClear : 0),
      outboundPort: PORT.outbound,
      plaintextPort: PORT.plaintext,
      hbonePort: PORT.hbone,
      dnsPort: PORT.dns,
      waypointPort: PORT.waypoint,
      lastId: this.#view.lastId(),
    });
  }

  /**
   * A policy or a workload changed: every cached verdict becomes a miss at once, the pairs of this node get new
   * ones, and live connections that are now denied are closed. `first`: those of a former agent, which had other numbers, go.
   */
  renew(first = false): void {
    this.#remembered.clear(); // those of the former generation are misses, and the first to be pushed out
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
    if (first) this.#forgetLater();
    this.#cancelSweep();
    this.#cancelSweep = this.#effects.clock.after(AGENT.secondSweepMs, () => this.closeDenied());
  }

  /** Verdicts for pairs of these workloads that have none yet (one was enrolled or got a new port). */
  fill(uids: ReadonlySet<string>): void {
    if (uids.size > 0) this.#fill(this.#generation, uids);
  }

  /** Remembers the outcome of one evaluated connection; false when it depends on more than the pair and port, or when there are too many. */
  remember(source: Workload | null, destination: Workload, port: number): boolean {
    const asker = source?.uid ?? ` ${destination.uid}`; // a stranger's are on the account of whom he wants
    const before = this.#remembered.get(asker) ?? 0;
    if (before >= AGENT.rememberedMax) return false;
    this.#remembered.set(asker, before + 1);
    const allow = pairVerdict(policiesFor(this.#view.mesh, destination), source, destination, port);
    return this.#write(source, destination, port, allow, this.#generation);
  }

  /** Touches the kernel no more. */
  stop(): void {
    this.#cancelSweep();
    this.#cancelForget();
  }

  /** Closes live kernel connections that policy now denies, or one of whose ends has left; returns how many. */
  closeDenied(): number {
    let closed = 0;
    for (const [socketCookie, live] of this.#kernel.maps.flows.entries()) {
      const decision = this.#judge(live);
      if (decision !== null && !decision.allowed && this.#close(socketCookie, live, decision)) closed++;
    }
    return closed;
  }

  /** Why this connection was closed, told once; null: not by us. */
  closeCause(socketCookie: bigint): CloseCause | null {
    const cause = this.#closed.get(socketCookie) ?? null;
    this.#closed.delete(socketCookie);
    return cause;
  }

  /**
   * An enrolment ends: its connections are closed while its namespace can still be reached, and what the kernel remembers of
   * its number goes. That takes a walk through whole maps, so many that leave at once share one; the number is never given
   * again, so nothing depends on when.
   */
  leave(id: number): void {
    const { flows } = this.#kernel.maps;
    for (const [socketCookie, live] of flows.entries())
      if (live.sourceId === id || live.destinationId === id) this.#close(socketCookie, live, LEFT);
    this.#left.add(id);
    if (this.#left.size === 1) this.#forgetLater();
  }

  #forgetLater(): void {
    this.#cancelForget();
    this.#cancelForget = this.#effects.clock.after(AGENT.secondSweepMs, () => this.#forgetLeft());
  }

  #forgetLeft(): void {
    const { verdicts, attested, captured } = this.#kernel.maps;
    const isGone = (one: { sourceId: number; destinationId: number }): boolean =>
      this.#left.has(one.sourceId) || this.#left.has(one.destinationId);
    const isMiss = ({ generation }: { generation: number }): boolean => generation !== this.#generation;
    for (const [key, verdict] of verdicts.entries()) if (isGone(key) || isMiss(verdict)) verdicts.delete(key);
    for (const map of [attested, captured]) for (const [key, origin] of map.entries()) if (isGone(origin)) map.delete(key);
    this.#left.clear();
  }

  #close(socketCookie: bigint, live: LiveFlow, decision: L4Decision): boolean {
    const destroyed = this.#destroy(live, socketCookie);
    // Found by the agent, not seen by the kernel's programs, which may not hear of its end either.
    if (live.generation === FOUND) this.#kernel.maps.flows.delete(socketCookie);
    if (!destroyed) return false;
    const reporter = live.inbound === 1 ? 'destination' : 'source';
    const cause = decision === LEFT ? 'workload-left' : 'policy-change';
    this.#closed.set(socketCookie, cause);
    if (this.#closed.size > AGENT.closedMax) this.#closed.delete(this.#closed.keys().next().value ?? 0n);
    this.#effects.meters.counter('weft_refusals_total', { reporter, cause }).add();
    this.#effects.log.warn(
      { ...this.#closeRecord(live, decision, cause), cookie: String(socketCookie) },
      decision === LEFT ? 'connection closed: its workload left' : 'connection closed due to policy change',
    );
    return true;
  }

  /** One connection that cannot be closed must not save the next. */
  #destroy(live: LiveFlow, socketCookie: bigint): boolean {
    try {
      return this.#view.destroy(live, socketCookie);
    } catch (error) {
      this.#effects.log.error({ error: messageOf(error) }, 'a connection that policy denies cannot be closed');
      return false;
    }
  }

  #closeRecord(
    { flow, inbound, sourceId, destinationId }: LiveFlow,
    { policy, rule, reason }: L4Decision,
    cause: 'policy-change' | 'workload-left',
  ): AccessRecord {
    const workloadOf = (id: number): Workload | null => this.#view.party(id)?.record ?? null;
    const { source, destination, sourcePort, destinationPort } = flow;
    return recordOf(
      { end: source === null ? null : { ip: source, port: sourcePort }, workload: workloadOf(sourceId), identity: null },
      { reporter: inbound === 1 ? 'destination' : 'source', dialled: null },
      {
        ...NO_PATH,
        end: destination === null ? null : { ip: destination, port: destinationPort },
        workload: workloadOf(destinationId),
      },
      { ...REFUSED_OUTCOME, flag: CLOSE_CAUSES[cause].flag, cause, policy, rule, error: reason },
    );
  }

  #judge(live: LiveFlow): L4Decision | null {
    const { mesh } = this.#view;
    const destination = this.#view.party(live.destinationId);
    const source = live.sourceId === 0 ? null : this.#view.party(live.sourceId);
    const { flow } = live;
    if (flow.source === null || flow.destination === null) return null;
    // Nobody could judge it ever again. Until all is known an adopted end may only not be enrolled yet.
    if (destination === null || (live.sourceId !== 0 && source === null)) return this.#view.isWhole() ? LEFT : null;
    if (live.sourceId === 0 && destination.isInClear) return null; // it passed policy by, whatever that says now
    const policies = policiesFor(mesh, destination.record);
    const ends = connectionOf(source?.identity ?? null, flow.source, { ip: flow.destination, port: flow.destinationPort });
    const decision = decideL4(policies, ends);
    return isUndecided(policies, decision) ? null : decision; // judged when the policy is there
  }

  /** `only`: just the pairs in which one of these workloads takes part; null: all. */
  #fill(generation: number, only: ReadonlySet<string> | null): void {
    const tally = new DryRunTally();
    for (const { set, source, destination, here, port } of eagerPairs(this.#view.mesh, this.#view.local(), only)) {
      const allow = pairVerdict(set, source, destination, port);
      if (here || allow === false) this.#write(source, destination, port, allow, generation); // leaves out who has left
      if (here && source !== null) tally.add(set, source, destination, port);
    }
    tally.report(this.#effects);
  }

  #write(source: Workload | null, destination: Workload, port: number, allow: boolean | null, generation: number): boolean {
    if (allow === null) return false;
    const sourceId = source === null ? 0 : this.#view.idOf(source);
    const destinationId = this.#view.idOf(destination);
    if (sourceId === null || destinationId === null) return false;
    // The kernel cannot tell the kubelet from other strangers, and would refuse both.
    if (source === null && !allow && this.#view.party(destinationId)?.probed.includes(port) === true) return false;
    this.#kernel.maps.verdicts.set({ sourceId, destinationId, port }, { generation, allow: allow ? 1 : 0 });
    return true;
  }
}
