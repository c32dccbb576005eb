import type { IpAddress } from '#model/address/ip.ts';
import type { NameClient } from '#model/dns/resolve-name.ts';
import type { Identity } from '#model/identity/identity.ts';
import { captureOf } from '#model/mesh/capture.ts';
import type { MeshState } from '#model/mesh/mesh-state.ts';
import type { Workload } from '#model/mesh/workload.ts';
import type { IdTable } from '#model/path/ids.ts';
import type { TableView } from '#model/path/tables.ts';
import type { Enrolled, Enrollment, EnrollmentRequest } from './enrollment.ts';

/**
 * One end of a connection that the kernel carries: who it is enrolled as, by which record its policies are found, whether plain text passes
 * these, and ports that a kubelet connects to.
 */
export type Party = {
  readonly identity: Identity;
  readonly record: Workload;
  readonly isInClear: boolean;
  readonly probed: readonly number[];
};

/**
 * Which records of the mesh are those of the enrolments of this node. Names, addresses and namespaces come again: what the
 * mesh says of a name is about this enrolment only if it agrees on who that is and where. Until it does there is no record.
 */
export class LocalRecords {
  readonly #mesh: MeshState;
  readonly #enrollment: Pick<Enrollment, 'get' | 'byId' | 'byAddress' | 'all'>;
  /** Labels of the former enrolment of a name, by which policies may have selected it. */
  readonly #formerLabels = new Map<string, string>();
  /** Records that agree and may yet be of a former enrolment with other labels; null: looked at, and of no doubt. */
  readonly #doubted = new WeakMap<Enrolled, Workload | null>();
  /** The last that agreed: live connections are judged by it when the mesh has none any more. */
  readonly #last = new WeakMap<Enrolled, Workload>();

  constructor(mesh: MeshState, enrollment: Pick<Enrollment, 'get' | 'byId' | 'byAddress' | 'all'>) {
    this.#mesh = mesh;
    this.#enrollment = enrollment;
  }

  /** The record of an enrolment; null while there is none that agrees, and when the enrolment has ended. */
  of(enrolled: Enrolled): Workload | null {
    if (this.#enrollment.byId(enrolled.id) !== enrolled) return null;
    const record = this.#mesh.workload(enrolled.request.uid);
    if (record === null || !agrees(record, enrolled) || this.#doubted.get(enrolled) === record) return null;
    // Certificates are of the trust domain that the agent was told, whatever the record calls it.
    const { trustDomain } = enrolled.identity;
    return record.trustDomain === trustDomain ? record : { ...record, trustDomain };
  }

  /** Those of the enrolled whose record has arrived: the others have no policies that could be evaluated. */
  all(): Workload[] {
    return this.#enrollment.all().flatMap((enrolled) => this.of(enrolled) ?? []);
  }

  /** Whether the mesh's record of this name is that of an enrolment of this node. */
  isLocal(uid: string): boolean {
    const enrolled = this.#enrollment.get(uid);
    return enrolled !== null && this.of(enrolled) !== null;
  }

  /** Whose address it is here, whatever the mesh says; null: nobody's of this node. */
  at(ip: IpAddress): ReturnType<TableView['enrolledAt']> {
    const enrolled = this.#enrollment.byAddress(ip);
    return enrolled === null ? null : { id: enrolled.id, record: this.of(enrolled), isInClear: isInClear(enrolled) };
  }

  /** The kernel's number for what a record describes; null: it describes a former enrolment of a name that is enrolled here. */
  idOf({ uid }: Workload, ids: IdTable): number | null {
    const enrolled = this.#enrollment.get(uid);
    if (enrolled === null) return ids.of('workload', uid);
    return this.of(enrolled) === null ? null : enrolled.id;
  }

  /** An end of a live connection; null: its enrolment has ended. */
  party(id: number): Party | null {
    const enrolled = this.#enrollment.byId(id);
    if (enrolled === null) return null;
    const probed = enrolled.request.pod?.probed ?? [];
    return { identity: enrolled.identity, record: this.#lastOf(enrolled), isInClear: isInClear(enrolled), probed };
  }

  /** The record by which live connections to a workload are judged, also when the mesh has none any more; null: it has left. */
  lastOf(uid: string): Workload | null {
    const enrolled = this.#enrollment.get(uid);
    return enrolled === null ? null : this.#lastOf(enrolled);
  }

  #lastOf(enrolled: Enrolled): Workload {
    return this.of(enrolled) ?? this.#last.get(enrolled) ?? bareRecord(enrolled);
  }

  /**
   * An enrolment begins. A record does not tell labels: one that is there already and agrees is still not this enrolment's
   * where the former one of the name had others, until the mesh sends another or the control plane has taken the new ones.
   */
  begin(enrolled: Enrolled): void {
    if (this.#doubted.has(enrolled)) return;
    const { uid, labels } = enrolled.request;
    const former = this.#formerLabels.get(uid);
    const isDoubtful = former !== undefined && former !== labelsText(labels);
    this.#doubted.set(enrolled, isDoubtful ? this.#mesh.workload(uid) : null);
  }

  /** It has ended. */
  end({ request }: Enrolled): void {
    const { uid, labels } = request;
    if (this.#mesh.workload(uid) !== null) this.#formerLabels.set(uid, labelsText(labels));
  }

  /** The mesh has no record of the name any more: what is not enrolled under it is forgotten; a later one gets a new number. */
  forget(uid: string, ids: IdTable): void {
    if (this.#enrollment.get(uid) !== null) return;
    ids.forget('workload', uid);
    this.#formerLabels.delete(uid);
  }

  /** Those of these requests whose record is doubted. */
  doubted(requests: readonly EnrollmentRequest[]): Enrolled[] {
    const asked = new Set(requests);
    return this.#enrollment.all().filter((one) => asked.has(one.request) && (this.#doubted.get(one) ?? null) !== null);
  }

  /** The control plane has taken the registration of an enrolment: what it says now is of this one. */
  confirm(enrolled: Enrolled): void {
    this.#doubted.set(enrolled, null);
  }

  #enrolledAs(uid: string): { netnsCookie: bigint; record: Workload } | null {
    const enrolled = this.#enrollment.get(uid);
    const record = enrolled === null ? null : this.of(enrolled);
    return enrolled === null || record === null ? null : { netnsCookie: enrolled.netns.netnsCookie, record };
  }

  /** What the kernel's tables are computed from. Where this node is, its workloads' records say: they are alike in that. */
  tableView(
    ids: IdTable,
    { node, datagramsClear }: { node: string; datagramsClear: boolean },
    demand: { isAnswered(ip: IpAddress): boolean } | null,
  ): TableView {
    const [some] = this.all();
    return {
      mesh: this.#mesh,
      ids,
      isLocal: (uid) => this.isLocal(uid),
      enrolledAt: (ip) => this.at(ip),
      enrolledAs: (uid) => this.#enrolledAs(uid),
      datagramsClear,
      ...(demand === null ? {} : { isAnswered: (ip) => demand.isAnswered(ip) }),
      location: some ?? { node, clusterId: '', network: '', locality: { region: '', zone: '', subzone: '' } },
    };
  }

  /** To be called after a change of these records. True when one is the first of an enrolment. */
  remember(uids: Iterable<string>): boolean {
    let isFirst = false;
    for (const uid of uids) {
      const enrolled = this.#enrollment.get(uid);
      const record = enrolled === null ? null : this.of(enrolled);
      if (enrolled === null || record === null) continue;
      isFirst ||= !this.#last.has(enrolled);
      this.#last.set(enrolled, record);
    }
    return isFirst;
  }
}

function labelsText(labels: EnrollmentRequest['labels']): string {
  return JSON.stringify(Object.entries(labels).sort());
}

/** Whether a record tells of an enrolment: who that is, and where. */
export function agrees(record: Workload, { identity, addresses }: Enrolled): boolean {
  return (
    record.namespace === identity.namespace &&
    record.serviceAccount === identity.serviceAccount &&
    record.addresses.every((ip) => addresses.includes(ip))
  );
}

/** Whether its annotations let plain text past policy. */
export function isInClear({ request }: Enrolled): boolean {
  return captureOf(request.annotations).inboundInClear;
}

/** Who asks for names: null for nobody who is enrolled. */
export function nameClientOf(enrolled: Enrolled | null): NameClient | null {
  if (enrolled === null) return null;
  const { request, addresses } = enrolled;
  return { namespace: request.namespace, own: { name: request.name, addresses } };
}

/** What is known without the control plane: enough for the policies of the mesh and of the namespace. */
function bareRecord({ request, identity, addresses }: Enrolled): Workload {
  const { uid, name, nativeTunnel } = request;
  return {
    uid,
    name,
    ...identity,
    addresses,
    network: '',
    tunnelProtocol: 'hbone',
    nativeTunnel,
    waypoint: null,
    node: '',
    canonicalName: name,
    canonicalRevision: '',
    workloadName: name,
    workloadKind: 'pod',
    authorizationPolicies: [],
    healthy: true,
    clusterId: '',
    hostname: '',
    services: new Map(),
    hostNetwork: false,
    capacity: 1,
    registryOnly: false,
    locality: { region: '', zone: '', subzone: '' },
  };
}
