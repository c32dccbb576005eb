import { type Cidr, familyOf, formatCidr, type IpAddress } from '#model/address/ip.ts';
import type { Log } from '#model/effects/log.ts';
import { messageOf } from '#model/error.ts';
import { SERVICE_FLAG, WORKLOAD_FLAG } from '#model/kernel/abi.ts';
import { type KernelMaps, MAPS, type MapKey } from '#model/kernel/maps.ts';
import type { Touched } from '#model/mesh/mesh-state.ts';
import { IdTable } from '#model/path/ids.ts';
import {
  type AddressEntry,
  addressEntry,
  type FrontendEntry,
  frontendsOfBlock,
  frontendsOfVip,
  localWaypoints,
  MadeForServices,
  placeOfBlock,
  type SlotSet,
  type TableView,
  type WaypointEntry,
} from '#model/path/tables.ts';
import { Affinities } from './affinities.ts';
import { BackendSlots } from './backend-slots.ts';
import { SplitSlots } from './split-slots.ts';

/**
 * Keeps the kernel's address, service and waypoint maps equal to what the model says, touching only what changed.
 * A write that fails (map full) leaves `complete` false: unknown destinations then go to the agent, never out in plain text.
 */
export class KernelTables {
  readonly #maps: KernelMaps;
  readonly #log: Log;
  readonly #addresses = new Map<IpAddress, AddressEntry>();
  readonly #frontends = new Map<IpAddress, FrontendEntry[]>();
  /** Those that are written, by text. */
  readonly #blocks = new Map<string, { key: MapKey<'blocks'>; place: IpAddress }>();
  readonly #waypoints = new Map<number, WaypointEntry>();
  readonly #slots: BackendSlots;
  readonly #splits: SplitSlots;
  readonly #affinities: Affinities;
  #failed = new Set<IpAddress>();

  constructor(maps: KernelMaps, log: Log) {
    this.#maps = maps;
    this.#log = log;
    this.#slots = new BackendSlots(maps.backends);
    this.#splits = new SplitSlots(maps.splits);
    this.#affinities = new Affinities(maps.affinities);
  }

  get complete(): boolean {
    return this.#failed.size === 0;
  }

  /**
   * Brings the entries of the touched addresses and services up to date. Each address is guarded by itself: one that does
   * not fit must not keep the others from being right.
   */
  refresh(touched: Touched, view: TableView): void {
    const ips = new Set(touched.ips);
    const vips = new Set<IpAddress>();
    for (const key of touched.services) for (const vip of view.mesh.service(key)?.addresses ?? []) vips.add(vip);
    // An address can become a VIP or stop being one, so those that were written before count as well.
    for (const ip of ips) if (this.#frontends.has(ip) || view.mesh.servicesByVip(ip).length > 0) vips.add(ip);
    for (const ip of ips) this.#guard(ip, () => this.#refreshAddress(ip, view));
    const made = new MadeForServices();
    for (const vip of vips) this.#guard(vip, () => this.#refreshFrontends(vip, frontendsOfVip(vip, view, made)));
    this.#refreshBlocks(touched, view, made);
    this.#splits.trim();
    this.#slots.trim();
    for (const uid of touched.workloads) this.#refreshEnrolled(uid, view);
    this.#refreshWaypoints(view);
  }

  /** What the record of an enrolment says about what it may open. */
  #refreshEnrolled(uid: string, view: TableView): void {
    const enrolled = view.enrolledAs(uid);
    const entry = enrolled === null ? null : this.#maps.workloads.get(enrolled.netnsCookie);
    if (enrolled === null || entry === null) return;
    const flags = (entry.flags & ~WORKLOAD_FLAG.registryOnly) | (enrolled.record.registryOnly ? WORKLOAD_FLAG.registryOnly : 0);
    if (flags !== entry.flags) this.#maps.workloads.set(enrolled.netnsCookie, { ...entry, flags });
  }

  /**
   * Before the first sync: an enrolment came to these addresses, or left them. Of one that was adopted with its number what
   * the former agent knew goes on.
   */
  claim(ips: readonly IpAddress[], view: TableView): void {
    for (const ip of ips) {
      const enrolled = view.enrolledAt(ip);
      if (enrolled !== null && this.#maps.addresses.get(ip)?.id === enrolled.id) continue;
      this.#guard(ip, () => this.#refreshAddress(ip, view));
    }
  }

  /** First sync after adopting maps: whatever the mesh does not know any more goes, but for what is enrolled here. */
  purgeUnknown(view: TableView): void {
    for (const [ip] of this.#maps.addresses.entries()) {
      if (ip !== null && addressEntry(ip, view) === null) this.#maps.addresses.delete(ip);
    }
    const frontends = [...this.#frontends.values()].flat();
    const keys = new Set(frontends.map(placeOf));
    const ids = new Set(frontends.flatMap((entry) => setsOf(entry).map(({ id }) => id)));
    const routes = new Set(frontends.filter(isRoute).map(({ id }) => id));
    const written = new Set([...this.#blocks.values()].map(({ key }) => blockText(key)));
    for (const [key] of this.#maps.blocks.entries()) if (!written.has(blockText(key))) this.#maps.blocks.delete(key);
    for (const [key] of this.#maps.services.entries()) if (!keys.has(placeOf(key))) this.#maps.services.delete(key);
    for (const [key] of this.#maps.backends.entries()) if (!ids.has(key.serviceId)) this.#maps.backends.delete(key);
    this.#affinities.purge();
    for (const [key] of this.#maps.splits.entries()) if (!routes.has(key.serviceId)) this.#maps.splits.delete(key);
  }

  /** Until the write works, the kernel's knowledge is incomplete, and unknown destinations go through the agent. */
  #guard(ip: IpAddress, write: () => void): void {
    try {
      write();
      this.#failed.delete(ip);
    } catch (error) {
      this.#failed.add(ip);
      this.#log.error({ ip, error: messageOf(error) }, 'kernel table write failed; unknown destinations go through the agent');
    }
  }

  /** Compared with what was written, not with the map: a read of the kernel costs a system call for each address. */
  #refreshAddress(ip: IpAddress, view: TableView): void {
    const entry = addressEntry(ip, view);
    const old = this.#addresses.get(ip);
    if (entry === null) {
      this.#maps.addresses.delete(ip);
      this.#addresses.delete(ip);
    } else if (old === undefined || old.id !== entry.id || old.flags !== entry.flags || old.waypointId !== entry.waypointId) {
      this.#maps.addresses.set(ip, entry);
      this.#addresses.set(ip, entry);
    }
  }

  /** Slots before the count that points at them; on shrinking the count first (E42), and what is left over when all is written. */
  #refreshFrontends(vip: IpAddress, wanted: FrontendEntry[]): void {
    const old = this.#frontends.get(vip) ?? [];
    for (const entry of wanted) {
      const user = placeOf(entry);
      const before = old.find((one) => placeOf(one) === user);
      for (const { id, slots } of setsOf(entry)) this.#slots.write(id, user, slots);
      if (isRoute(entry)) this.#splits.write(entry.id, user, entry.splits);
      this.#affinities.write(entry.id, user, entry.affinityTimeoutS);
      if (before === undefined || !sameFrontend(before, entry))
        this.#maps.services.set(keyOf(entry), {
          id: entry.id,
          backendCount: countOf(entry),
          waypointId: entry.waypointId,
          flags: entry.flags,
        });
      if (before !== undefined) this.#leave(before, entry); // for another service that took the address, or by another route
    }
    for (const gone of old.filter((one) => !wanted.some((entry) => placeOf(entry) === placeOf(one)))) {
      this.#maps.services.delete(keyOf(gone));
      this.#leave(gone, null);
    }
    if (wanted.length === 0) this.#frontends.delete(vip);
    else this.#frontends.set(vip, wanted);
  }

  /** Which service a block means depends on those around it, and there are few: all of them are looked at. */
  #refreshBlocks({ services, blocks }: Touched, view: TableView, made: MadeForServices): void {
    if (!blocks && ![...services].some((key) => view.mesh.service(key)?.blocks !== undefined)) return;
    const wanted = new Map([...view.mesh.blocks()].map((block): [string, Cidr] => [formatCidr(block), block]));
    for (const [text, { key, place }] of [...this.#blocks]) {
      if (wanted.has(text)) continue;
      this.#guard(place, () => {
        this.#maps.blocks.delete(key);
        this.#blocks.delete(text);
        this.#refreshFrontends(place, []);
      });
    }
    for (const [text, block] of wanted) {
      const place = placeOfBlock(block, view);
      this.#guard(place, () => {
        // What it leads to before what leads there.
        this.#refreshFrontends(place, frontendsOfBlock(block, view, made));
        if (this.#blocks.has(text)) return;
        this.#maps.blocks.set(blockKey(block), place);
        this.#blocks.set(text, { key: blockKey(block), place });
      });
    }
  }

  #leave(old: FrontendEntry, now: FrontendEntry | null): void {
    const user = placeOf(old);
    const kept = now === null ? [] : setsOf(now).map(({ id }) => id);
    for (const { id } of setsOf(old)) if (!kept.includes(id)) this.#slots.leave(id, user);
    if (now?.id !== old.id) this.#affinities.leave(old.id, user);
    if (isRoute(old) && !(now !== null && isRoute(now) && now.id === old.id)) this.#splits.leave(old.id, user);
  }

  /** Entries of waypoints on this node; without one the connection takes the way through the agent, which is only slower. */
  #refreshWaypoints(view: TableView): void {
    const wanted = localWaypoints(view);
    for (const [id, entry] of wanted) {
      const old = this.#waypoints.get(id);
      if (old?.ip4 === entry.ip4 && old.ip6 === entry.ip6) continue;
      try {
        this.#maps.waypoints.set(id, entry);
        this.#waypoints.set(id, entry);
      } catch (error) {
        // Not remembered, so the next change tries again; what follows this (verdicts) must not wait for it.
        this.#log.error({ error: messageOf(error) }, 'kernel table write failed; a waypoint here is reached through the agent');
      }
    }
    for (const [id] of this.#maps.waypoints.entries()) {
      if (wanted.has(id)) continue;
      this.#maps.waypoints.delete(id);
      this.#waypoints.delete(id);
    }
  }
}

/** As addresses of both families lie in one map, a length is that of the mapped form, and the family is a part of it. */
function blockKey({ base, length }: Cidr): MapKey<'blocks'> {
  const isV4 = familyOf(base) === 4;
  return { prefixLength: FAMILY_BITS + (isV4 ? MAPPED_BITS : 0) + length, isV4: isV4 ? 1 : 0, ip: base };
}

/** Fixed by the kernel's maps: before the address stands which family it is of; of IPv4, what it is mapped by. */
const FAMILY_BITS = 32;
const MAPPED_BITS = 96;

/** As the kernel has it: all of IPv6 is read as no address. */
function blockText(key: MapKey<'blocks'>): string {
  return MAPS.blocks.key.encode(key).toString('latin1');
}

function placeOf({ ip, port, protocol }: MapKey<'services'>): string {
  return `${ip}|${port}|${protocol}`;
}

function keyOf(entry: FrontendEntry): MapKey<'services'> {
  return { ip: entry.ip, port: entry.port, protocol: entry.protocol };
}

/** The sets of slots that connections to a place may be drawn from. */
function setsOf(entry: FrontendEntry): readonly SlotSet[] {
  if (isRoute(entry)) return entry.parts;
  return entry.id === 0 ? [] : [{ id: entry.id, slots: entry.slots }];
}

function isRoute({ flags }: FrontendEntry): boolean {
  return (flags & SERVICE_FLAG.split) !== 0;
}

function countOf(entry: FrontendEntry): number {
  return isRoute(entry) ? entry.splits.length : entry.slots.length;
}

/** Whether the kernel's entry of the service would be the same; which slots it has is written elsewhere. */
function sameFrontend(a: FrontendEntry, b: FrontendEntry): boolean {
  return a.id === b.id && a.waypointId === b.waypointId && a.flags === b.flags && countOf(a) === countOf(b);
}

/**
 * Numbers of an adopted data path: enrolments that go on keep theirs, all others continue after the highest that was ever
 * given, which no map may hold any more.
 */
export function adoptedIds(maps: KernelMaps, adopted: boolean): IdTable {
  if (!adopted) return new IdTable();
  const used = [
    maps.config.get(0)?.lastId ?? 0,
    ...maps.addresses.entries().flatMap(([, { id, waypointId }]) => [id, waypointId]),
    ...maps.services.entries().flatMap(([, { id, waypointId }]) => [id, waypointId]),
    ...maps.verdicts.entries().flatMap(([{ sourceId, destinationId }]) => [sourceId, destinationId]),
  ];
  const ids = new IdTable(used.reduce((highest, id) => Math.max(highest, id), 0));
  for (const [id, { uid }] of maps.names.entries()) ids.restore('workload', uid, id);
  return ids;
}
