import type { IpAddress } from '#model/address/ip.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import type { Waiters } from '#model/effects/waiters.ts';
import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import type { IdTable } from '#model/path/ids.ts';
import type { TableView } from '#model/path/tables.ts';
import { AGENT } from '#model/settings/agents.ts';
import type { Demand } from './demand/demand.ts';
import type { Enrolled, Enrollment, EnrollmentRequest } from './enrollment/enrollment.ts';
import type { LocalRecords } from './enrollment/local-records.ts';
import type { OwnRecords } from './enrollment/own-records.ts';
import { changesDecisions } from './follow-mesh.ts';
import type { Carriers } from './judge/carriers.ts';
import { tellWidened } from './kernel/dry-run-tally.ts';
import type { FoundConnections } from './kernel/found-connections.ts';
import type { KernelTables } from './kernel/tables.ts';
import type { Verdicts } from './kernel/verdicts.ts';
import type { OutsideNames } from './names/outside-names.ts';
import type { Succession } from './succession.ts';

/** What a change of the mesh concerns. */
export type InForceParts = {
  readonly mesh: MeshState;
  readonly ids: IdTable;
  readonly enrollment: Enrollment;
  readonly records: LocalRecords;
  readonly own: OwnRecords;
  readonly names: OutsideNames;
  readonly tables: KernelTables;
  readonly found: FoundConnections;
  readonly verdicts: Verdicts;
  readonly carriers: Carriers;
  readonly waiters: Waiters;
  readonly succession: Succession;
  readonly clock: Clock;
  readonly log: Log;
  /** What is asked for, where not all of the mesh is followed: what the kernel does not know may be anybody's then; null: it is. */
  readonly demand: Pick<Demand, 'isAnswered'> | null;
  tableView(): TableView;
};

const NO_ADDRESSES: ReadonlySet<IpAddress> = new Set();

/** Puts changes of the mesh, and of what is enrolled, in force. */
export class MeshInForce {
  readonly #parts: InForceParts;
  #synced = false;
  #cancelConfirm: Cancel = () => {};

  constructor(parts: InForceParts) {
    this.#parts = parts;
  }

  /** True once the first complete state has been applied. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Whether the kernel has all that is known. */
  get isComplete(): boolean {
    return this.#synced && this.#parts.tables.complete;
  }

  stop(): void {
    this.#cancelConfirm();
  }

  /**
   * Applies a change of the mesh to the kernel; `complete`: the state is now the whole mesh. `ips`: addresses of which something else
   * is known now, beside those of the change.
   *
   * Order: whom an address belongs to is written before verdicts about him, verdicts before the generation that makes them
   * valid, and connections are closed after it, so that none that is opened meanwhile is missed. All of it runs without an
   * await: no connection is decided upon half a change.
   */
  apply(told: MeshDelta, complete: boolean, ips: ReadonlySet<IpAddress> = NO_ADDRESSES): void {
    const { mesh, ids, enrollment, records, tables, found, verdicts, carriers, waiters, succession, log } = this.#parts;
    const { own, names, tableView } = this.#parts;
    const delta = names.translate(own.translate(told));
    if (succession.handedOver) return void succession.follow(delta);
    const isOther = changesDecisions(mesh, delta);
    const touched = mesh.apply(delta);
    for (const ip of ips) touched.ips.add(ip);
    const first = complete && !this.#synced;
    this.#synced ||= complete;
    // Whether an address is open to plain text depends on the policies in force for it.
    if (touched.policies) for (const one of enrollment.all()) for (const ip of one.addresses) touched.ips.add(ip);
    tellWidened(delta.policies, log);
    names.changed(delta, first);
    tables.refresh(touched, tableView());
    // Only now is it certain that what the mesh does not know is gone, rather than not told yet.
    if (first) tables.purgeUnknown(tableView());
    if (first) found.settle(); // before policy judges the live flows
    // What was judged without the record of one of its ends is judged again by it.
    if (ips.size > 0) found.answered();
    const isFirstRecord = records.remember(delta.workloads.keys());
    carriers.drop(first || isOther ? null : touched); // before anything is closed, or it could come again by the same answer
    if (first || isOther) {
      this.#publish();
      verdicts.renew(first);
      carriers.closeDenied(mesh, (uid) => records.lastOf(uid));
    } else {
      // A new endpoint makes no verdict wrong: pairs that have one keep it, and no connection waits for the agent.
      verdicts.fill(touched.workloads);
      this.#publish();
      if (isFirstRecord && this.#synced) verdicts.closeDenied();
    }
    for (const [uid, workload] of delta.workloads)
      if (workload !== null) carriers.warm(enrollment.get(uid));
      else records.forget(uid, ids);
    waiters.check(); // last: whoever is released finds the kernel as it is to be
  }

  /** The control plane has taken these: what it changes of their records has arrived a moment later; one that stays is right. */
  registered(requests: readonly EnrollmentRequest[]): void {
    const { records, carriers, waiters, clock } = this.#parts;
    if (records.doubted(requests).length === 0) return;
    this.#cancelConfirm = clock.after(AGENT.recordSettleMs, () => {
      for (const enrolled of records.doubted(requests)) {
        records.confirm(enrolled);
        this.refreshLocal(enrolled);
      }
      carriers.drop(null);
      waiters.check();
    });
  }

  /** A workload was enrolled or has left. Before the first sync the kernel keeps what a former agent knew; the sync then replaces it as a whole. */
  refreshLocal(enrolled: Enrolled): void {
    const { mesh, records, tables, verdicts, tableView } = this.#parts;
    records.begin(enrolled);
    records.remember([enrolled.request.uid]);
    if (!this.#synced) {
      tables.claim(enrolled.addresses, tableView());
      return;
    }
    const record = mesh.workload(enrolled.request.uid);
    const services = mesh.addRouted(new Set(record === null ? [] : record.services.keys()));
    const workloads = new Set([enrolled.request.uid]);
    tables.refresh({ ips: new Set(enrolled.addresses), services, workloads, policies: false, blocks: false }, tableView());
    verdicts.fill(workloads);
  }

  #publish(): void {
    this.#parts.verdicts.publish(!this.isComplete || this.#parts.demand !== null);
  }
}
