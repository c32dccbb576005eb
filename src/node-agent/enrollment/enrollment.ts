import { type IpAddress, parseIp } from '#model/address/ip.ts';
import type { ByteStream } from '#model/effects/byte-stream.ts';
import { toLastResort } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { formatIdentity, type Identity, sameIdentity } from '#model/identity/identity.ts';
import type { LiveFlow } from '#model/kernel/maps.ts';
import { workloadFlags } from '#model/mesh/capture.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { WorkloadRequest } from '#model/mesh/registration.ts';
import type { IdTable } from '#model/path/ids.ts';
import { addressesByFamily } from '#model/path/tables.ts';
import type {
  AgentEffects,
  DatagramHandler,
  Listening,
  WorkloadLink,
  WorkloadNamespace,
} from '#node-agent/effects/agent-effects.ts';
import type { HandedSocket } from '#protocol/api/agent.ts';
import { adoptedId, isUnchanged } from './same-enrollment.ts';
import { type Attempt, Attempts, agentLeaving } from './under-way.ts';

/** What it takes to enroll a workload; kept on disk, so that a restarted agent enrolls it again by itself. */
export type EnrollmentRequest = WorkloadRequest & {
  uid: string;
  addresses: readonly string[];
  netnsPath: string;
  /** Null: the way of its packets is not this agent's to guard. */
  link: WorkloadLink | null;
  /** As it was kept by a former agent: the mesh is told to send it no new connections. */
  draining?: boolean;
  /** Of which pod it is; `ranOutside`: not in the mesh at first, so what it had open goes on; `probed`: ports that its kubelet connects to. */
  pod?: { uid: string; ranOutside: boolean; probed: readonly number[] };
};

/**
 * A workload whose namespace this agent captures. Rights belong to this object and its number, never to the name, address,
 * path or cookie, which can all come again.
 */
export type Enrolled = {
  request: EnrollmentRequest;
  id: number;
  identity: Identity;
  addresses: IpAddress[];
  netns: WorkloadNamespace;
};

/** What the listeners of an enrolled workload call. */
export type EnrollmentHandlers = {
  /** Its connections are to be carried; the result ends that and cuts them. Errors: those of the namespace. */
  carry(workload: Enrolled): Listening;
  /** Another process accepts its connections; those that are carried go on. */
  retire(workload: Enrolled): void;
  /** Resolves when those that carry have ended what was ended before: until then their sockets have the agent's ports. */
  settled(): Promise<void>;
  dnsStream(workload: Enrolled, stream: ByteStream): void;
  dnsDatagram(workload: Enrolled): DatagramHandler;
  /** It is about to end: the last moment at which its namespace can be reached. */
  ending(workload: Enrolled): void;
  /** What the kernel still remembers under this number is of an enrolment that ended with a former agent. */
  superseded(id: number): void;
  /** It has ended: nothing of it is left here or in the kernel's tables of workloads. */
  ended(workload: Enrolled): void;
};

type Entry = { enrolled: Enrolled; listening: Listening[]; dns: Listening[] };

/** Takes workloads into the mesh and out again. Idempotent: repeats are no-ops, leaving undoes everything. */
export class Enrollment {
  readonly #effects: AgentEffects;
  readonly #ids: IdTable;
  readonly #trustDomain: string;
  readonly #handlers: EnrollmentHandlers;
  readonly #entries = new Map<string, Entry>();
  readonly #byId = new Map<number, Enrolled>();
  readonly #byAddress = new Map<IpAddress, Enrolled>();
  readonly #attempts = new Attempts();
  #handedOver = false;

  constructor(effects: AgentEffects, ids: IdTable, trustDomain: string, handlers: EnrollmentHandlers) {
    this.#effects = effects;
    this.#ids = ids;
    this.#trustDomain = trustDomain;
    this.#handlers = handlers;
  }

  get(uid: string): Enrolled | null {
    return this.#entries.get(uid)?.enrolled ?? null;
  }

  /** The workload whose namespace it is; null when it is not enrolled here. */
  byNetnsCookie(netnsCookie: bigint): Enrolled | null {
    for (const { enrolled } of this.#entries.values()) if (enrolled.netns.netnsCookie === netnsCookie) return enrolled;
    return null;
  }

  /** The enrolment with this number; null when it has ended, or never was. */
  byId(id: number): Enrolled | null {
    return this.#byId.get(id) ?? null;
  }

  /** Whose address it is on this node, whatever the mesh says; null: nobody's. */
  byAddress(ip: IpAddress): Enrolled | null {
    return this.#byAddress.get(ip) ?? null;
  }

  /**
   * Aborts a kernel connection at one of its ends; false when there was none. Only in namespaces served here: in another one
   * the tuple may be somebody else's connection. `socketCookie`: the owner's socket; a later one of the same ends is left alone.
   */
  destroy({ flow, inbound, destinationId }: LiveFlow, socketCookie?: bigint): boolean {
    const owner = this.byNetnsCookie(flow.netnsCookie);
    if (owner !== null) return owner.netns.destroyFlow(flow, inbound === 1, socketCookie);
    return this.byId(destinationId)?.netns.destroyFlow(flow, true) ?? false;
  }

  /** Whether all are in that are to be: an end of a connection that is not may otherwise be one of them. */
  get isWhole(): boolean {
    return this.#attempts.allSucceeded;
  }

  all(): Enrolled[] {
    return [...this.#entries.values()].map(({ enrolled }) => enrolled);
  }

  /**
   * Takes a workload in; one that is in already, unchanged, stays as it is. One call at a time for each workload: of two
   * that both listen, the listeners of one would belong to nobody. Errors: those of the namespace and of the kernel, after
   * which nothing is left; WEFT_WORKLOAD_LEFT when it left meanwhile; WEFT_AGENT_LEAVING when another agent has the node.
   */
  enroll(request: EnrollmentRequest): Promise<Enrolled> {
    return this.#attempts.run(request.uid, (attempt) => this.#enroll(request, attempt));
  }

  async #enroll(request: EnrollmentRequest, attempt: Attempt): Promise<Enrolled> {
    if (this.#handedOver) throw agentLeaving();
    if (attempt.left) throw leftMeanwhile(request.uid);
    const netns = this.#effects.openNamespace(request.netnsPath);
    const known = this.#entries.get(request.uid);
    if (known !== undefined && isUnchanged(known.enrolled, request, netns)) {
      netns.close();
      return known.enrolled;
    }
    // A new namespace, or another account in the old one: nothing may go on under the former identity.
    if (known !== undefined) this.#remove(known);
    const former = [this.#effects.kernel.maps.workloads.get(netns.netnsCookie)?.id, this.#ids.find('workload', request.uid)];
    const entry: Entry = { enrolled: this.#describe(request, netns), listening: [], dns: [] };
    try {
      await this.#handlers.settled();
      await this.#listen(entry);
      if (this.#handedOver) throw agentLeaving();
      if (attempt.left) throw leftMeanwhile(request.uid);
      this.#capture(entry.enrolled);
    } catch (error) {
      this.#close(entry);
      throw error;
    }
    this.#index(entry);
    this.#supersede(former, entry.enrolled.id);
    const { addresses, annotations } = request;
    const identity = formatIdentity(entry.enrolled.identity);
    this.#effects.log.info({ workload: request.uid, identity, addresses, annotations }, 'workload enrolled');
    return entry.enrolled;
  }

  /** Only after an adoption is there anything: this agent's own enrolments have been removed before. */
  #supersede(former: readonly (number | null | undefined)[], id: number): void {
    for (const one of new Set(former)) {
      if (one === null || one === undefined || one === id) continue;
      this.#effects.kernel.maps.names.delete(one);
      this.#handlers.superseded(one);
    }
  }

  /** Undoes enroll, also one that is under way; connections are cut by the caller. Unknown uids are no error, nor is one of another agent by now. */
  leave(uid: string): void {
    if (this.#handedOver) return;
    this.#attempts.leave(uid);
    const entry = this.#entries.get(uid);
    if (entry !== undefined) this.#remove(entry);
  }

  /** Capture ends first: from then on no connection is sent to listeners that are about to close. */
  #remove(entry: Entry): void {
    const { netns, id, request, identity } = entry.enrolled;
    this.#handlers.ending(entry.enrolled);
    this.#unindex(entry);
    const { maps } = this.#effects.kernel;
    maps.workloads.delete(netns.netnsCookie);
    this.#effects.kernel.detachNamespace(netns.netnsCookie);
    this.#effects.kernel.releaseLink(netns.netnsCookie);
    maps.names.delete(id);
    this.#close(entry);
    this.#ids.forget('workload', request.uid);
    this.#handlers.ended(entry.enrolled);
    // Workloads of one account share a certificate (B59): it goes with the last of them.
    if (!this.all().some((other) => sameIdentity(other.identity, identity))) this.#effects.forgetCredentials(identity);
    this.#effects.log.info({ workload: request.uid }, 'workload left');
  }

  /** Accepts nothing more; what is carried goes on, and for a while names are answered. The sockets are another process's from now on. */
  handOver(taken: Promise<void>): HandedSocket[] {
    this.#handedOver = true; // or what is under way would publish after this agent
    const entries = [...this.#entries.values()];
    const letGo = ({ dns, enrolled }: Entry): void => {
      for (const one of dns.splice(0)) one.close();
      enrolled.netns.letGo();
    };
    taken.then(() => entries.forEach(letGo)).catch(toLastResort);
    return entries.flatMap(({ enrolled }) => {
      const sockets = enrolled.netns.handOver();
      this.#handlers.retire(enrolled);
      return sockets;
    });
  }

  /** Stops serving without touching the kernel: what a stopping agent does. */
  release(): void {
    this.#attempts.leaveAll(); // or one would publish after this agent has ended
    for (const entry of this.#entries.values()) this.#close(entry);
    this.#entries.clear();
    this.#byId.clear();
    this.#byAddress.clear();
  }

  #index(entry: Entry): void {
    const { enrolled } = entry;
    this.#entries.set(enrolled.request.uid, entry);
    this.#byId.set(enrolled.id, enrolled);
    for (const ip of enrolled.addresses) this.#byAddress.set(ip, enrolled);
  }

  /** An address may have gone to another enrolment by now, which keeps it. */
  #unindex({ enrolled }: Entry): void {
    this.#entries.delete(enrolled.request.uid);
    this.#byId.delete(enrolled.id);
    for (const ip of enrolled.addresses) if (this.#byAddress.get(ip) === enrolled) this.#byAddress.delete(ip);
  }

  #describe(request: EnrollmentRequest, netns: WorkloadNamespace): Enrolled {
    const identity = { trustDomain: this.#trustDomain, namespace: request.namespace, serviceAccount: request.serviceAccount };
    const addresses = request.addresses.map(parseIp);
    const id =
      adoptedId(this.#effects.kernel.maps, { uid: request.uid, identity, addresses, netns }) ??
      this.#ids.renew('workload', request.uid);
    return { request, id, identity, addresses, netns };
  }

  async #listen(entry: Entry): Promise<void> {
    const { enrolled, listening, dns } = entry;
    const { netns } = enrolled;
    listening.push(this.#handlers.carry(enrolled));
    dns.push(netns.listen(PORT.dns, (stream) => this.#handlers.dnsStream(enrolled, stream)));
    dns.push(await netns.listenDatagrams(PORT.dns, this.#handlers.dnsDatagram(enrolled)));
  }

  /**
   * The arrival hook before the entry that starts capture: a connection is never captured into a namespace whose arrivals
   * nobody checks, nor into a void, since the listeners are there already (B51).
   */
  #capture({ request, id, identity, addresses, netns }: Enrolled): void {
    const { kernel } = this.#effects;
    kernel.attachNamespace(request.netnsPath, netns.netnsCookie);
    const flags = workloadFlags(request);
    try {
      // The number before it is used: it must not be given again, even if this agent dies before anything else is told.
      const config = kernel.maps.config.get(0);
      if (config !== null) kernel.maps.config.set(0, { ...config, lastId: Math.max(config.lastId, this.#ids.last) });
      // Closed until the entry below is there, and whatever becomes of this agent.
      if (request.link !== null) kernel.guardLink(request.link, netns.netnsCookie);
      // The name first: an agent that adopts the maps must find a name for each number that captures.
      kernel.maps.names.set(id, { uid: request.uid, identity: formatIdentity(identity) });
      kernel.maps.workloads.set(netns.netnsCookie, { id, flags, ...addressesByFamily({ addresses }) });
    } catch (error) {
      kernel.maps.names.delete(id);
      kernel.releaseLink(netns.netnsCookie);
      kernel.detachNamespace(netns.netnsCookie);
      throw error;
    }
  }

  #close(entry: Entry): void {
    for (const listening of [...entry.listening, ...entry.dns]) listening.close();
    entry.enrolled.netns.close();
  }
}

function leftMeanwhile(uid: string): WeftError {
  return new WeftError('WEFT_WORKLOAD_LEFT', `${uid} left while it was being enrolled`, { remedy: 'start it again' });
}
