import type { Socket } from 'node:net';
import { type IpAddress, parseIp } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { formatIdentity, type Identity, sameIdentity } from '#model/identity/identity.ts';
import { WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import { PORT } from '#model/mesh/ports.ts';
import type { IdTable } from '#model/path/ids.ts';
import { addressesByFamily } from '#model/path/tables.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type {
  AgentEffects,
  DatagramHandler,
  HboneServer,
  Listening,
  WorkloadNamespace,
} from '#node-agent/effects/agent-effects.ts';
import type { TunnelPool } from '#protocol/hbone/transport.ts';

/** What it takes to enroll a workload; kept on disk, so that a restarted agent enrolls it again by itself. */
export type EnrollmentRequest = {
  uid: string;
  name: string;
  namespace: string;
  serviceAccount: string;
  labels: Record<string, string>;
  addresses: string[];
  nativeTunnel: boolean;
  netnsPath: string;
};

/** A workload whose namespace this agent captures. */
export type Enrolled = {
  request: EnrollmentRequest;
  id: number;
  identity: Identity;
  addresses: IpAddress[];
  netns: WorkloadNamespace;
  pool: TunnelPool;
};

/** What the listeners of an enrolled workload call. */
export type EnrollmentHandlers = {
  outbound(workload: Enrolled, socket: Socket): void;
  plaintext(workload: Enrolled, socket: Socket): void;
  hbone(workload: Enrolled): HboneServer;
  dnsStream(workload: Enrolled, socket: Socket): void;
  dnsDatagram(workload: Enrolled): DatagramHandler;
};

type Entry = { enrolled: Enrolled; listening: Listening[]; server: HboneServer | null };

/** Takes workloads into the mesh and out again. Idempotent: repeats are no-ops, leaving undoes everything. */
export class Enrollment {
  readonly #effects: AgentEffects;
  readonly #ids: IdTable;
  readonly #trustDomain: string;
  readonly #handlers: EnrollmentHandlers;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();

  constructor(effects: AgentEffects, ids: IdTable, trustDomain: string, handlers: EnrollmentHandlers) {
    this.#effects = effects;
    this.#ids = ids;
    this.#trustDomain = trustDomain;
    this.#handlers = handlers;
    this.#log = effects.log;
  }

  get(uid: string): Enrolled | null {
    return this.#entries.get(uid)?.enrolled ?? null;
  }

  /** The workload whose namespace it is; null when it is not enrolled here. */
  byNetnsCookie(netnsCookie: bigint): Enrolled | null {
    for (const { enrolled } of this.#entries.values()) if (enrolled.netns.netnsCookie === netnsCookie) return enrolled;
    return null;
  }

  all(): Enrolled[] {
    return [...this.#entries.values()].map(({ enrolled }) => enrolled);
  }

  /** Listeners first, then the arrival hook, then the entry that starts capture: nothing is ever captured into a void (B51). */
  async enroll(request: EnrollmentRequest): Promise<Enrolled> {
    const netns = this.#effects.openNamespace(request.netnsPath);
    const known = this.#entries.get(request.uid);
    if (known !== undefined) {
      if (known.enrolled.netns.netnsCookie === netns.netnsCookie) {
        netns.close();
        return known.enrolled;
      }
      this.leave(request.uid);
    }
    const enrolled = this.#describe(request, netns);
    const entry: Entry = { enrolled, listening: [], server: null };
    try {
      await this.#listen(entry);
      this.#effects.kernel.attachNamespace(request.netnsPath, netns.netnsCookie);
      this.#publish(enrolled);
    } catch (error) {
      this.#close(entry);
      throw error;
    }
    this.#entries.set(request.uid, entry);
    this.#log.info(
      { workload: request.uid, identity: formatIdentity(enrolled.identity), addresses: request.addresses },
      'workload enrolled',
    );
    return enrolled;
  }

  /** Undoes enroll; connections are cut by the caller. Unknown uids are no error. */
  leave(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    this.#entries.delete(uid);
    const { maps } = this.#effects.kernel;
    const { netns, id } = entry.enrolled;
    maps.workloads.delete(netns.netnsCookie);
    this.#effects.kernel.detachNamespace(netns.netnsCookie);
    maps.names.delete(id);
    this.#close(entry);
    if (!this.all().some((other) => sameIdentity(other.identity, entry.enrolled.identity)))
      this.#effects.forgetCredentials(entry.enrolled.identity);
    this.#log.info({ workload: uid }, 'workload left');
  }

  /** Stops serving without touching the kernel: what a stopping agent does. */
  release(): void {
    for (const entry of this.#entries.values()) this.#close(entry);
    this.#entries.clear();
  }

  #describe(request: EnrollmentRequest, netns: WorkloadNamespace): Enrolled {
    const identity = { trustDomain: this.#trustDomain, namespace: request.namespace, serviceAccount: request.serviceAccount };
    const pool = this.#effects.createPool((ip, port) => netns.dial(ip, port, TUNNEL.connectTimeoutMs));
    const id = this.#ids.of('workload', request.uid);
    return { request, id, identity, addresses: request.addresses.map(parseIp), netns, pool };
  }

  async #listen(entry: Entry): Promise<void> {
    const { enrolled, listening } = entry;
    const { netns, id, request } = enrolled;
    listening.push(await netns.listen(PORT.outbound, (socket) => this.#handlers.outbound(enrolled, socket)));
    listening.push(await netns.listenPlaintext(PORT.plaintext, id, (socket) => this.#handlers.plaintext(enrolled, socket)));
    listening.push(await netns.listen(PORT.dns, (socket) => this.#handlers.dnsStream(enrolled, socket)));
    listening.push(await netns.listenDatagrams(PORT.dns, this.#handlers.dnsDatagram(enrolled)));
    if (request.nativeTunnel) return; // it listens on 15008 itself
    const server = this.#handlers.hbone(enrolled);
    entry.server = server;
    listening.push(await netns.listen(PORT.hbone, (socket) => server.handle(socket)));
  }

  #publish(enrolled: Enrolled): void {
    const { maps } = this.#effects.kernel;
    maps.names.set(enrolled.id, { uid: enrolled.request.uid, identity: formatIdentity(enrolled.identity) });
    const flags = enrolled.request.nativeTunnel ? WORKLOAD_FLAG.nativeTunnel : 0;
    maps.workloads.set(enrolled.netns.netnsCookie, {
      id: enrolled.id,
      flags,
      ...addressesByFamily({ addresses: enrolled.addresses }),
    });
  }

  #close(entry: Entry): void {
    for (const listening of entry.listening) listening.close();
    entry.server?.close();
    entry.enrolled.pool.close(true);
    entry.enrolled.netns.close();
  }
}
