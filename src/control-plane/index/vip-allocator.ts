import { createHash } from 'node:crypto';
import { type Entry, entry, tableOf } from '#control-plane/index/table.ts';
import { bytesToIp, type Family, familyOf, type IpAddress, ipToBytes, tryParseIp } from '#model/address/ip.ts';

/** Addresses in the ranges that users gave to something: they are never handed out. Any value. */
export const RESERVED_ADDRESSES = tableOf<true>()('reserved-addresses');

/** The entries that reserve those of `addresses` that could be handed out. */
export function reserve(addresses: readonly IpAddress[]): Entry<typeof RESERVED_ADDRESSES>[] {
  return addresses.filter(inVipRange).map((ip) => entry(RESERVED_ADDRESSES, ip, true));
}

/** Addresses by service (`<namespace>/<name>`). Plain data, to be kept across restarts. */
export type Allocations = Readonly<Record<string, readonly string[]>>;

/** 240.240.0.0/16 without its first and last address. */
const V4_PREFIX = [240, 240];
const V4_SLOTS = 65_534;

/** 2001:2::/48. */
const V6_PREFIX = [0x20, 0x01, 0x00, 0x02, 0x00, 0x00];

/**
 * Gives services addresses from ranges that nobody routes. An address depends on the service's name, so it is
 * the same after a restart even without `kept`, unless two names meet: then `kept` decides, else who came first.
 */
export class VipAllocator {
  readonly #byKey = new Map<string, readonly IpAddress[]>();
  readonly #owners = new Map<IpAddress, string>();
  #v4InUse = 0;
  #changed = false;

  constructor(kept: Allocations = {}) {
    for (const [key, texts] of Object.entries(kept)) {
      const addresses = texts.map(tryParseIp).filter((ip) => ip !== null && inVipRange(ip) && !this.#owners.has(ip));
      this.#keep(
        key,
        addresses.filter((ip) => ip !== null),
      );
    }
  }

  /**
   * The service's addresses, one per family; fewer when a range is exhausted. isReserved: whether a user gave the address
   * to something, so that it is never handed out; who has it must take another one.
   */
  allocate(key: string, families: readonly Family[], isReserved: (ip: IpAddress) => boolean = () => false): readonly IpAddress[] {
    const before = (this.#byKey.get(key) ?? []).filter((ip) => !isReserved(ip));
    const addresses = families.map(
      (family) => before.find((ip) => familyOf(ip) === family) ?? this.#find(key, family, isReserved),
    );
    const granted = addresses.filter((ip) => ip !== null);
    const held = this.#byKey.get(key) ?? [];
    const same = granted.length === held.length && granted.every((ip) => this.#owners.get(ip) === key);
    if (same) return granted;
    this.release(key);
    this.#keep(key, granted);
    this.#changed = true;
    return granted;
  }

  release(key: string): void {
    if (this.#drop(key)) this.#changed = true;
  }

  /**
   * Takes the addresses that another replica has given out; what was given to others here gives way. Returns the services whose addresses are not
   * what they were.
   */
  adopt(kept: Allocations): Set<string> {
    const changed = new Set<string>();
    const wanted = new Map<string, readonly IpAddress[]>();
    for (const [key, texts] of Object.entries(kept)) {
      const addresses = texts.map(tryParseIp).filter((ip) => ip !== null && inVipRange(ip));
      if (addresses.join() !== (this.#byKey.get(key) ?? []).join()) wanted.set(key, addresses as IpAddress[]);
    }
    for (const [key, addresses] of wanted) {
      for (const owner of [key, ...addresses.flatMap((ip) => this.#owners.get(ip) ?? [])]) {
        this.#drop(owner);
        changed.add(owner);
      }
    }
    for (const [key, addresses] of wanted) this.#keep(key, addresses);
    return changed;
  }

  /** All there are. */
  all(): ReadonlyMap<string, readonly IpAddress[]> {
    return new Map(this.#byKey);
  }

  /** Frees what is kept for services that do not exist. */
  releaseAllBut(keys: ReadonlySet<string>): void {
    for (const key of [...this.#byKey.keys()]) if (!keys.has(key)) this.release(key);
  }

  /** All allocations if any changed since the last call, else null. */
  takeChange(): ReadonlyMap<string, readonly IpAddress[]> | null {
    if (!this.#changed) return null;
    this.#changed = false;
    return new Map(this.#byKey);
  }

  #drop(key: string): boolean {
    for (const ip of this.#byKey.get(key) ?? []) {
      this.#owners.delete(ip);
      if (familyOf(ip) === 4) this.#v4InUse--;
    }
    return this.#byKey.delete(key);
  }

  #keep(key: string, addresses: readonly IpAddress[]): void {
    if (addresses.length === 0) return;
    this.#byKey.set(key, addresses);
    for (const ip of addresses) {
      this.#owners.set(ip, key);
      if (familyOf(ip) === 4) this.#v4InUse++;
    }
  }

  #find(key: string, family: Family, isReserved: (ip: IpAddress) => boolean): IpAddress | null {
    if (family === 4 && this.#v4InUse >= V4_SLOTS) return null;
    const hash = createHash('sha256').update(key).digest();
    for (let attempt = 0; attempt < V4_SLOTS; attempt++) {
      const candidate = family === 4 ? v4Candidate(hash, attempt) : v6Candidate(hash, attempt);
      const owner = this.#owners.get(candidate);
      if ((owner === undefined || owner === key) && !isReserved(candidate)) return candidate;
    }
    return null;
  }
}

function v4Candidate(hash: Buffer, attempt: number): IpAddress {
  const slot = 1 + ((hash.readUInt32BE(0) + attempt) % V4_SLOTS);
  return bytesToIp(Uint8Array.from([...V4_PREFIX, slot >> 8, slot & 0xff]));
}

function v6Candidate(hash: Buffer, attempt: number): IpAddress {
  const last = (hash.readUInt16BE(12) + attempt) & 0xffff;
  return bytesToIp(Uint8Array.from([...V6_PREFIX, ...hash.subarray(4, 12), last >> 8, last & 0xff]));
}

/** Whether an address lies in the ranges that services are given addresses of. */
export function inVipRange(ip: IpAddress): boolean {
  if (!ip.startsWith('240.240.') && !ip.startsWith('2001:2:')) return false;
  const bytes = ipToBytes(ip);
  const prefix = bytes.length === 4 ? V4_PREFIX : V6_PREFIX;
  return prefix.every((byte, at) => bytes[at] === byte);
}
