import { type IpAddress, specialUseOf } from '#model/address/ip.ts';
import { isByNameOnly } from '#model/dns/named-ports.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import type { KernelMaps } from '#model/kernel/maps.ts';
import type { Service, ServiceKey } from '#model/mesh/service.ts';
import { DNS } from '#model/settings/dns.ts';
import type { AnsweredAddress } from '#protocol/dns/answered-addresses.ts';

/** What this needs of the node and of the mesh. */
export type AnsweredNamesOptions = {
  maps: Pick<KernelMaps, 'permits'>;
  /** The kernel's monotonic clock, by which a permit ends. */
  nowNs(): bigint;
  clock: Clock;
  log: Log;
  /** The number of a workload's enrolment; null: it is not enrolled here. */
  idOf(uid: string): number | null;
  /** Ports on which a workload may reach what is answered for a name. */
  portsOf(uid: string, name: string): ReadonlySet<number>;
  /** Whether it may only reach what the mesh knows: of others nothing has to be remembered that the mesh does not know. */
  isConfined(uid: string): boolean;
};

/** One name that an address was answered for. */
type Answered = { ports: ReadonlySet<number>; untilNs: bigint };

/** An address: for which names, the last one last, and what the kernel has of it, by port. */
type Known = { readonly names: Map<string, Answered>; readonly permits: Map<number, { name: string; untilNs: bigint }> };

/** What one enrolment was answered, what was answered last being last. */
type Holder = { readonly id: number; readonly known: Map<IpAddress, Known> };

const NS_PER_MS = 1_000_000n;

/**
 * Which addresses were answered to each workload for which names, for as long as apps go on using them: those of names that the
 * mesh knows may be reached, by a permit in the kernel that ends by itself. The kernel's table outlives this process, and the
 * next one goes on with it.
 */
export class AnsweredNames {
  readonly #options: AnsweredNamesOptions;
  readonly #holders = new Map<string, Holder>();
  /** Of a former agent, by number of the enrolment, until that is there again. */
  readonly #former = new Map<number, Map<IpAddress, Known>>();
  /** Hosts that only their names tell from others: no other change makes a difference. */
  readonly #hosts = new Set<ServiceKey>();
  readonly #cancels: readonly Cancel[];
  #stopped = false;

  constructor(options: AnsweredNamesOptions) {
    this.#options = options;
    for (const [{ sourceId, ip, port }, { name, untilNs }] of options.maps.permits.entries()) {
      if (ip === null) continue;
      const all = this.#former.get(sourceId) ?? new Map<IpAddress, Known>();
      this.#former.set(sourceId, all);
      const known = knownAt(all, ip);
      const ports = new Set([...(known.names.get(name)?.ports ?? []), port]);
      known.names.set(name, { ports, untilNs });
      known.permits.set(port, { name, untilNs });
    }
    const { clock } = options;
    this.#cancels = [clock.every(DNS.permitSweepMs, () => this.#sweep()), clock.every(DNS.permitMsMax, () => this.#tidy())];
  }

  /** Nameservers outside the mesh have answered a workload. When this returns, it may connect. */
  answered(uid: string, name: string, addresses: readonly AnsweredAddress[]): void {
    if (this.#stopped) return;
    const ports = this.#options.portsOf(uid, name);
    if (ports.size === 0 && !this.#options.isConfined(uid)) return;
    const holder = this.#holderOf(uid);
    if (holder === null) return;
    for (const { ip, ttlMs } of addresses) {
      if (specialUseOf(ip) !== null) continue; // what is the machine's own, or nobody's, is not opened by a name
      const known = knownAt(holder.known, ip);
      holder.known.delete(ip); // to be the last again
      holder.known.set(ip, known);
      const heldMs = Math.min(Math.max(ttlMs, DNS.permitMs), DNS.permitMsMax);
      known.names.delete(name);
      known.names.set(name, { ports, untilNs: this.#options.nowNs() + BigInt(heldMs) * NS_PER_MS });
      if (known.names.size > DNS.permitNamesMax) known.names.delete(known.names.keys().next().value ?? '');
      this.#write(holder, ip, known);
    }
    for (const [ip] of holder.known) {
      if (holder.known.size <= DNS.permitAddressesMax) break;
      this.#drop(holder, ip);
    }
  }

  /** Whether an address may be reached by its name. */
  allows(uid: string, ip: IpAddress, port: number): boolean {
    const now = this.#options.nowNs();
    const names = this.#holders.get(uid)?.known.get(ip)?.names.values() ?? [];
    return [...names].some(({ ports, untilNs }) => untilNs > now && ports.has(port));
  }

  /** For which name an address was answered last, and by which ports the mesh knows that; null: for none. */
  nameOf(uid: string, ip: IpAddress): { name: string; ports: ReadonlySet<number> } | null {
    const last = [...(this.#holders.get(uid)?.known.get(ip)?.names ?? [])].at(-1);
    return last === undefined ? null : { name: last[0], ports: last[1].ports };
  }

  /** Services are others than before. `first`: the whole mesh is known from now on. */
  changed(services: ReadonlyMap<ServiceKey, Service | null>, first: boolean): void {
    if (this.#stopped) return;
    let isOther = first;
    for (const [key, service] of services) {
      const isHost = service !== null && isByNameOnly(service);
      isOther ||= isHost || this.#hosts.has(key);
      if (isHost) this.#hosts.add(key);
      else this.#hosts.delete(key);
    }
    if (!isOther) return;
    for (const [uid, holder] of this.#holders) this.#judgeAgain(uid, holder);
  }

  /** A workload is enrolled: what a former agent has let it reach by name goes on. */
  enrolled(uid: string, isSynced: boolean): void {
    const holder = this.#holderOf(uid);
    if (holder !== null && isSynced) this.#judgeAgain(uid, holder);
  }

  /** An enrolment has ended, and with it what it may reach. */
  ended(uid: string, id: number): void {
    if (this.#stopped) return;
    const holder = this.#holders.get(uid);
    if (holder?.id === id) this.#holders.delete(uid);
    const left = holder?.id === id ? holder.known : this.#former.get(id);
    this.#former.delete(id);
    for (const [ip, { permits }] of left ?? []) for (const port of permits.keys()) this.#delete(id, ip, port);
  }

  /** Touches the kernel no more. */
  stop(): void {
    this.#stopped = true;
    for (const cancel of this.#cancels) cancel();
  }

  #holderOf(uid: string): Holder | null {
    const id = this.#options.idOf(uid);
    const before = this.#holders.get(uid);
    if (id === null || before?.id === id) return id === null ? null : (before ?? null);
    if (before !== undefined) this.ended(uid, before.id);
    const holder = { id, known: this.#former.get(id) ?? new Map<IpAddress, Known>() };
    this.#former.delete(id);
    this.#holders.set(uid, holder);
    return holder;
  }

  #judgeAgain(uid: string, holder: Holder): void {
    const portsOf = new Map<string, ReadonlySet<number>>();
    for (const [ip, known] of holder.known) {
      for (const [name, answered] of known.names) {
        const ports = portsOf.get(name) ?? this.#options.portsOf(uid, name);
        portsOf.set(name, ports);
        answered.ports = ports;
      }
      this.#write(holder, ip, known);
    }
  }

  /** Only what differs: nameservers answer the same again and again. What cannot be written stays closed. */
  #write({ id }: Holder, ip: IpAddress, { names, permits }: Known): void {
    const wanted = new Map<number, { name: string; untilNs: bigint }>();
    for (const [name, { ports, untilNs }] of names)
      for (const port of ports) if (untilNs > (wanted.get(port)?.untilNs ?? 0n)) wanted.set(port, { name, untilNs });
    for (const port of permits.keys()) {
      if (wanted.has(port)) continue;
      permits.delete(port);
      this.#delete(id, ip, port);
    }
    for (const [port, permit] of wanted) {
      const before = permits.get(port);
      if (before?.name === permit.name && before.untilNs === permit.untilNs) continue;
      try {
        this.#options.maps.permits.set({ sourceId: id, ip, port }, permit);
        permits.set(port, permit);
      } catch (error) {
        const { name } = permit;
        this.#options.log.error({ name, ip, error: messageOf(error) }, 'an address that was answered cannot be let through');
      }
    }
  }

  #delete(sourceId: number, ip: IpAddress, port: number): void {
    this.#options.maps.permits.delete({ sourceId, ip, port });
  }

  #drop(holder: Holder, ip: IpAddress): void {
    for (const port of holder.known.get(ip)?.permits.keys() ?? []) this.#delete(holder.id, ip, port);
    holder.known.delete(ip);
  }

  #sweep(): void {
    const former = [...this.#former].map(([id, known]) => ({ id, known }));
    const now = this.#options.nowNs();
    for (const holder of [...this.#holders.values(), ...former])
      for (const [ip, known] of holder.known) {
        for (const [name, { untilNs }] of known.names) if (untilNs <= now) known.names.delete(name);
        if (known.names.size === 0) this.#drop(holder, ip);
        else this.#write(holder, ip, known);
      }
  }

  /** What a former agent wrote while this one began is not known here. */
  #tidy(): void {
    const { maps, nowNs } = this.#options;
    const now = nowNs();
    for (const [key, { untilNs }] of maps.permits.entries()) if (untilNs <= now) maps.permits.delete(key);
  }
}

function knownAt(all: Map<IpAddress, Known>, ip: IpAddress): Known {
  const known = all.get(ip) ?? { names: new Map<string, Answered>(), permits: new Map() };
  all.set(ip, known);
  return known;
}
