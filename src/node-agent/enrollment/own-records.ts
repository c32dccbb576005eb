import type { MeshDelta, MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { Enrolled, Enrollment } from './enrollment.ts';
import { agrees } from './local-records.ts';

/**
 * Finds the records of this node's enrolments by their addresses. A control plane names workloads as it likes (an istiod:
 * `Kubernetes//Pod/shop/cart-7d4`), while an enrolment has its name before any record does. A record that agrees with an
 * enrolment on who it is and where is known by the enrolment's name from here on, so that everything behind looks up one name.
 */
export class OwnRecords {
  readonly #mesh: Pick<MeshState, 'workload' | 'workloadByIp'>;
  readonly #enrollment: Pick<Enrollment, 'byAddress'>;
  /** The control plane's name → the enrolment's, and back: the last record that took it counts. */
  readonly #ownOf = new Map<string, string>();
  readonly #theirOf = new Map<string, string>();

  constructor(mesh: Pick<MeshState, 'workload' | 'workloadByIp'>, enrollment: Pick<Enrollment, 'byAddress'>) {
    this.#mesh = mesh;
    this.#enrollment = enrollment;
  }

  /** The change, with the names of the enrolments. The same one where there is nothing to translate. */
  translate(delta: MeshDelta): MeshDelta {
    const workloads = new Map<string, Workload | null>();
    let isOther = false;
    for (const [uid, record] of delta.workloads) {
      const own = record === null ? null : this.#ownName(record, delta);
      const former = this.#ownOf.get(uid) ?? null;
      isOther ||= own !== former || own !== null;
      if (former !== null && former !== own) this.#release(uid, former, workloads);
      if (own === null || record === null) workloads.set(uid, record);
      else this.#take(uid, own, record, workloads);
    }
    return isOther ? { ...delta, workloads } : delta;
  }

  /** A workload was enrolled: the record that there already is of it; null: none under another name. */
  adopt({ addresses, request }: Enrolled): MeshDelta | null {
    const [ip] = addresses;
    const record = ip === undefined ? null : this.#mesh.workloadByIp(ip);
    if (record === null || record.uid === request.uid) return null;
    const delta = { workloads: new Map([[record.uid, record]]), services: new Map(), policies: new Map() };
    const translated = this.translate(delta);
    return translated === delta ? null : translated;
  }

  /** The name of the enrolment that a record is of; null: of none, or it has that name already, or another record has. */
  #ownName(record: Workload, { workloads }: MeshDelta): string | null {
    const [ip] = record.addresses;
    const enrolled = ip === undefined || record.hostNetwork ? null : this.#enrollment.byAddress(ip);
    if (enrolled === null || !agrees(record, enrolled)) return null;
    const { uid } = enrolled.request;
    if (uid === record.uid) return null;
    // A record that the control plane itself calls so is nearer.
    const named = workloads.get(uid) ?? (this.#theirOf.has(uid) ? null : this.#mesh.workload(uid));
    return named === null ? uid : null;
  }

  #take(uid: string, own: string, record: Workload, into: Map<string, Workload | null>): void {
    const before = this.#theirOf.get(own);
    if (before !== undefined && before !== uid) this.#ownOf.delete(before);
    this.#ownOf.set(uid, own);
    this.#theirOf.set(own, uid);
    if (this.#mesh.workload(uid) !== null) into.set(uid, null);
    into.set(own, { ...record, uid: own });
  }

  #release(uid: string, own: string, into: Map<string, Workload | null>): void {
    this.#ownOf.delete(uid);
    if (this.#theirOf.get(own) !== uid) return;
    this.#theirOf.delete(own);
    if (!into.has(own)) into.set(own, null);
  }
}
