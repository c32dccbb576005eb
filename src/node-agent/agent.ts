import type { IpAddress } from '#model/address/ip.ts';
import { guardWork } from '#model/effects/mishaps.ts';
import { Waiters } from '#model/effects/waiters.ts';
import type { KernelEvent, LiveFlow } from '#model/kernel/maps.ts';
import { type MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { IdTable } from '#model/path/ids.ts';
import { AGENT } from '#model/settings/agents.ts';
import { ProcessShares } from '#model/share/process-shares.ts';
import { Meters } from '#model/telemetry/meters.ts';
import { PeerSeries } from '#model/telemetry/peer-series.ts';
import { asDuplex } from '#protocol/stream/duplex.ts';
import type { Answers } from '#protocol/xds/client-session.ts';
import { Demand } from './demand/demand.ts';
import type { DnsNode } from './dns/effects.ts';
import type { DnsResponder } from './dns/responder.ts';
import type { AgentEffects, AgentOptions, ReportEffects } from './effects/agent-effects.ts';
import { type Enrolled, Enrollment, type EnrollmentRequest } from './enrollment/enrollment.ts';
import { lastBytesGone } from './enrollment/last-bytes.ts';
import { LocalRecords, nameClientOf } from './enrollment/local-records.ts';
import { OwnRecords } from './enrollment/own-records.ts';
import { Carriers } from './judge/carriers.ts';
import { takeEvent } from './kernel/events.ts';
import { FoundConnections, type FoundView } from './kernel/found-connections.ts';
import { LateArrivals } from './kernel/late-arrivals.ts';
import { carriedCapacity, KernelShares } from './kernel/shares.ts';
import { adoptedIds, KernelTables } from './kernel/tables.ts';
import { KernelTraffic } from './kernel/traffic.ts';
import { Verdicts } from './kernel/verdicts.ts';
import { MeshInForce } from './mesh-in-force.ts';
import { OutsideNames } from './names/outside-names.ts';
import { dnsCounters, readAgentMetrics } from './status/agent-metrics.ts';
import { Succession } from './succession.ts';

/** The agent of one node: takes mesh changes, workloads and kernel events; everything else is reached through effects. */
export class Agent {
  readonly mesh = new MeshState();
  readonly meters = new Meters('agent');
  readonly enrollment: Enrollment;
  readonly records: LocalRecords;
  readonly ids: IdTable;
  readonly #effects: AgentEffects;
  readonly #verdicts: Verdicts;
  readonly #own: OwnRecords;
  readonly #names: OutsideNames;
  readonly #shares: KernelShares;
  readonly traffic: KernelTraffic;
  readonly #report: ReportEffects;
  readonly #waiters: Waiters;
  /** Those that carry: told of certificates from outside. */
  readonly carriers: Carriers;
  readonly #dns: DnsResponder;
  readonly #inForce: MeshInForce;
  readonly #late: LateArrivals;
  readonly succession: Succession;
  /** What is asked for, where not the whole mesh is followed; null: it is. */
  readonly demand: Demand | null;

  constructor(effects: AgentEffects, options: AgentOptions) {
    this.#effects = effects;
    const { kernel, clock, log } = effects;
    // Numbers first: everything else writes them into maps that a former agent may have filled.
    this.ids = adoptedIds(kernel.maps, kernel.adopted);
    this.#waiters = new Waiters(clock, { deadlineMs: AGENT.knowledgeDeadlineMs, max: AGENT.waitersMax });
    const counters = dnsCounters(this.meters, (uid) => this.mesh.workload(uid));
    const synced = async () => (await this.#waiters.until(() => (this.synced ? true : null))) === true;
    const clientOf = (uid: string) => nameClientOf(this.enrollment.get(uid));
    const answered: OutsideNames['answered'] = (...told) => this.#names.answered(...told);
    const demand = options.onDemand ? new Demand(clock, this) : null;
    this.demand = demand;
    const asked: DnsNode['asked'] = demand && ((uid, names) => demand.answers(uid, names, this.#waiters));
    this.#dns = options.dns(this.mesh, clientOf, { counters, workloads: () => this.#shares.workloads, synced, asked, answered });
    const report = { clock, log, meters: this.meters, peers: new PeerSeries(this.meters) };
    this.#report = report;
    const view = {
      ...{ mesh: this.mesh, local: () => this.records.all(), datagramsClear: options.datagramsClear },
      ...{ idOf: (one: Workload) => this.records.idOf(one, this.ids), party: (id: number) => this.records.party(id) },
      ...{ isWhole: () => this.synced && this.enrollment.isWhole, lastId: () => this.ids.last },
      destroy: (flow: LiveFlow, socketCookie?: bigint) => this.enrollment.destroy(flow, socketCookie),
    };
    this.#verdicts = new Verdicts(kernel, view, report);
    const closeCause = (socketCookie: bigint) => this.#verdicts.closeCause(socketCookie);
    this.traffic = new KernelTraffic(kernel, { ...view, ids: this.ids, closeCause }, report);
    const isUnanswered: FoundView['isUnanswered'] = (...asked) => this.#isUnanswered(...asked);
    const found = new FoundConnections(kernel, { ...view, isUnanswered, local: () => this.enrollment.all() }, report);
    const tables = new KernelTables(kernel.maps, log);
    const places = new ProcessShares(carriedCapacity(options.descriptorsMax));
    this.#shares = new KernelShares(kernel, { ...view, ...report, ids: this.ids }, places);
    this.enrollment = new Enrollment(effects, this.ids, options.trustDomain, {
      carry: (workload) => this.carriers.carry(workload),
      retire: (workload) => this.carriers.retire(workload),
      settled: () => this.settled(),
      dnsStream: (workload, stream) =>
        guardWork(effects.mishaps, 'accept', this.#dns.handleTcp(asDuplex(stream), workload.request.uid), () => stream.reset()),
      dnsDatagram: (workload) => (query) => this.#dns.handleUdp(query, workload.request.uid),
      ending: (workload) => this.#ending(workload),
      superseded: (id) => this.#leaveVerdicts(id),
      ended: (workload) => {
        this.carriers.drop(null);
        this.records.end(workload);
        this.#names.ended(workload);
        this.demand?.ended(workload);
        this.#inForce.refreshLocal(workload);
      },
    });
    this.records = new LocalRecords(this.mesh, this.enrollment);
    this.#own = new OwnRecords(this.mesh, this.enrollment);
    this.#names = new OutsideNames(effects, this);
    this.carriers = new Carriers(effects, {
      ...{ mesh: this.mesh, enrollment: this.enrollment, records: this.records, verdicts: this.#verdicts },
      isNamed: (...asked) => this.#names.allows(...asked),
      unanswered: (...asked) => this.demand?.unanswered(...asked) ?? null,
      unansweredArrival: (...asked) => this.demand?.unansweredArrival(...asked) ?? null,
      ...{ random: effects.random, mishaps: effects.mishaps, meters: this.meters, trustDomain: options.trustDomain, places },
      isSynced: () => this.synced,
      known: (look) => this.#waiters.until(look),
      credentials: (identity) => effects.credentials(identity),
    });
    readAgentMetrics(this.meters, {
      ...{ kernel, records: this.records, enrollment: this.enrollment, demand },
      ...{ generation: () => this.generation, carried: () => this.carried },
      ...{ tunnels: () => this.carriers.tunnels, isComplete: () => this.#inForce.isComplete },
    });
    this.#late = new LateArrivals(kernel, () => this.#verdicts.closeDenied());
    [this.succession, this.#inForce] = this.#inForceBy(tables, found, options);
    // Until the mesh is known, nothing unknown may pass in plain text.
    this.#verdicts.publish(true);
  }

  #isUnanswered({ request }: Enrolled, ip: IpAddress): boolean {
    const record = this.demand === null ? null : this.records.lastOf(request.uid);
    return record !== null && this.demand?.unanswered(record, ip) !== null;
  }

  #inForceBy(tables: KernelTables, found: FoundConnections, options: AgentOptions): [Succession, MeshInForce] {
    const { clock, kernel, log } = this.#effects;
    const parts = { mesh: this.mesh, enrollment: this.enrollment, records: this.records, carriers: this.carriers, found };
    const common = { ...parts, waiters: this.#waiters, verdicts: this.#verdicts, clock };
    const succession = new Succession({
      ...{ ...common, kernel, isSynced: () => this.synced, leaveKernel: () => this.#leaveKernel() },
      superseded: (id) => this.#leaveVerdicts(id),
    });
    const inForce = new MeshInForce({
      ...{ ...common, ids: this.ids, own: this.#own, names: this.#names, tables, succession, log },
      ...{ demand: this.demand, tableView: () => this.records.tableView(this.ids, options, this.demand) },
    });
    return [succession, inForce];
  }

  /** True once the first complete state of the mesh has been applied. */
  get synced(): boolean {
    return this.#inForce.synced;
  }

  /** Number of the verdicts that are valid now. */
  get generation(): number {
    return this.#verdicts.generation;
  }

  /** Connections to workloads of this node that pass through this process. */
  get carried(): number {
    return this.carriers.carried;
  }

  /** Applies a change of the mesh; `complete`: the state is now the whole mesh, or all of it that is followed. */
  applyMesh(told: MeshDelta, complete: boolean): void {
    this.#inForce.apply(told, complete);
  }

  /** Applies a change that the control plane told, with what it answers of the names that were asked for. */
  hear(told: MeshDelta, answers: Answers): void {
    this.#inForce.apply(told, this.synced, this.demand?.take(told, answers));
  }

  /** These are followed no more; `ips`: addresses of which it is not known any more whose they are. */
  forget(delta: MeshDelta, ips: ReadonlySet<IpAddress>): void {
    this.#inForce.apply(delta, this.synced, ips);
  }

  /**
   * Takes a workload in; idempotent. `starts`: no process of it has run yet, so that it has nothing open: to look takes 10 ms.
   * Errors: those of Enrollment.enroll.
   */
  async enroll(request: EnrollmentRequest, starts = false): Promise<Enrolled> {
    const before = this.enrollment.get(request.uid);
    const enrolled = await this.enrollment.enroll(request);
    const known = this.#own.adopt(enrolled);
    if (known !== null) this.applyMesh(known, this.synced);
    this.carriers.drop(null);
    this.#inForce.refreshLocal(enrolled);
    if (enrolled !== before && !starts) this.succession.enrolled(enrolled);
    this.#names.enrolled(enrolled);
    this.demand?.enrolled(enrolled);
    return enrolled;
  }

  /** The control plane has taken these: what it changes of their records has arrived a moment later; one that stays is right. */
  registered(requests: readonly EnrollmentRequest[]): void {
    this.#inForce.registered(requests);
  }

  /** Waits until discovery knows the workload as it is enrolled now; false after the deadline. */
  async known(uid: string): Promise<boolean> {
    return (await this.#waiters.until(() => (this.records.isLocal(uid) ? true : null))) === true;
  }

  /** For a workload whose processes are dead: resolves when what they wrote last has gone out, or after a deadline. */
  async lastBytes(uid: string): Promise<void> {
    const { clock, kernel } = this.#effects;
    const enrolled = this.enrollment.get(uid);
    const { flows } = kernel.maps;
    if (enrolled !== null) await lastBytesGone(enrolled, { flows, finish: (one) => this.carriers.finish(one), clock });
  }

  /** Resolves when what was told last is in force also in the threads that carry. */
  settled(): Promise<void> {
    return this.carriers.settled();
  }

  /** A workload ends: what is carried to it is cut (B56), then everything is undone. Unknown uids are no error. */
  leave(uid: string): void {
    this.enrollment.leave(uid); // also one that is only being enrolled
  }

  /** An enrolment ends, by leaving or because another takes its name: its connections go before its namespace is let go. */
  #ending({ id }: Enrolled): void {
    this.#leaveVerdicts(id);
    this.#shares.forget(id);
  }

  #leaveVerdicts(id: number): void {
    this.#verdicts.leave(id);
    this.traffic.leave(id);
  }

  /** The kernel refused something: one line in the log. What it let in without a record is cut, as no policy could. */
  kernelEvent(event: KernelEvent): void {
    const isAsked = this.demand?.heard(event) ?? false;
    const netnsOf = (id: number) => this.enrollment.byId(id)?.netns ?? null;
    takeEvent(event, { ...this.#report, mesh: this.mesh, ids: this.ids, names: this.#names, netnsOf, isAsked });
  }

  /** Closes plain text that was established late, from a SYN that an older policy let in; to be called often. */
  watchArrivals(): void {
    if (this.synced) this.#late.watch();
  }

  /** Stops serving; the kernel side goes on without this process. */
  stop(): void {
    this.#dns.stop();
    this.#names.stop();
    this.demand?.stop();
    this.#leaveKernel();
    this.enrollment.release();
  }

  #leaveKernel(): void {
    this.#shares.stop();
    this.traffic.stop();
    this.#names.leaveKernel();
    this.#verdicts.stop();
    this.#inForce.stop();
  }
}
