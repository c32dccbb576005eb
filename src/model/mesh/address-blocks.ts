import { type Cidr, cidrAround, familyOf, formatCidr, type IpAddress } from '#model/address/ip.ts';
import type { Service, ServiceKey } from './service.ts';

/** Which services stand for whole blocks of addresses, and which of those an address lies in. */
export class AddressBlocks {
  /** Block → the services that have it; those of one length lie together. */
  readonly #keys = new Map<number, Map<string, { cidr: Cidr; keys: Set<ServiceKey> }>>();

  /** Every block that some service has. */
  *all(): Iterable<Cidr> {
    for (const ofLength of this.#keys.values()) for (const { cidr } of ofLength.values()) yield cidr;
  }

  /** The services of each block around an address, or around a block itself, the longest first. */
  around(ip: IpAddress, longest = familyOf(ip) === 4 ? 32 : 128): ReadonlySet<ServiceKey>[] {
    const found: ReadonlySet<ServiceKey>[] = [];
    // There are few lengths, however many blocks.
    for (const length of [...this.#keys.keys()].sort((a, b) => b - a)) {
      const around = length > longest ? null : cidrAround(ip, length);
      const block = around === null ? undefined : this.#keys.get(length)?.get(formatCidr(around));
      if (block !== undefined) found.push(block.keys);
    }
    return found;
  }

  add(cidr: Cidr, key: ServiceKey): void {
    const ofLength = this.#keys.get(cidr.length) ?? new Map();
    this.#keys.set(cidr.length, ofLength);
    const block = ofLength.get(formatCidr(cidr));
    if (block === undefined) ofLength.set(formatCidr(cidr), { cidr, keys: new Set([key]) });
    else block.keys.add(key);
  }

  remove(cidr: Cidr, key: ServiceKey): void {
    const ofLength = this.#keys.get(cidr.length);
    const block = ofLength?.get(formatCidr(cidr));
    block?.keys.delete(key);
    if (block?.keys.size === 0) ofLength?.delete(formatCidr(cidr));
    if (ofLength?.size === 0) this.#keys.delete(cidr.length);
  }
}

/** What the blocks of a service make addresses mean, and to whom; '' without any. */
export function meaningOfBlocks(service: Service | null | undefined): string {
  const { blocks = [], namespaceOnly, canonical } = service ?? {};
  return blocks.length === 0 ? '' : `${blocks.map(formatCidr).join()} ${namespaceOnly} ${canonical}`;
}
