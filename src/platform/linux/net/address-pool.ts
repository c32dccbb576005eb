import {
  bytesToIp,
  type Cidr,
  cidrContains,
  familyOf,
  formatCidr,
  type IpAddress,
  ipToBytes,
  tryParseCidr,
} from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';

/** Addresses by host number: 1 is the gateway, workloads have 2 to `hostsMax`; number n is base + n in both families. */
export type AddressPool = {
  pool4: Cidr;
  /** Null: the sandboxes have IPv4 only. */
  pool6: Cidr | null;
  hostsMax: number;
};

/** The host number of the node itself, on its bridge. */
export const GATEWAY_HOST = 1;
const FIRST_HOST = 2;

/** Errors: WEFT_SANDBOX_POOL when a pool is malformed, or too small or large to be used. */
export function parsePool(pool4: string, pool6: string | null): AddressPool {
  const v4 = networkOf(pool4, 4, 8, 29);
  const v6 = pool6 === null ? null : networkOf(pool6, 6, 8, 104);
  return { pool4: v4, pool6: v6, hostsMax: 2 ** (32 - v4.length) - 2 };
}

/** The addresses of a host, IPv4 first. */
export function addressesOf(pool: AddressPool, host: number): readonly IpAddress[] {
  const pools = pool.pool6 === null ? [pool.pool4] : [pool.pool4, pool.pool6];
  return pools.map((cidr) => addressAt(cidr, host));
}

/** The host number of an IPv4 address; null when it is not of this pool. */
export function hostOf(pool: AddressPool, address: IpAddress): number | null {
  if (!cidrContains(pool.pool4, address)) return null;
  return Number(toNumber(address) - toNumber(pool.pool4.base));
}

/**
 * A host number that is not in use, searched from `next` on and around: an address that was just given back is the last
 * to be handed out again, as others may remember whom it belonged to. Errors: WEFT_SANDBOX_POOL when none is left.
 */
export function freeHost(pool: AddressPool, used: ReadonlySet<number>, next: number): number {
  const count = pool.hostsMax - FIRST_HOST + 1;
  const start = next >= FIRST_HOST && next <= pool.hostsMax ? next - FIRST_HOST : 0;
  for (let step = 0; step < count; step++) {
    const host = FIRST_HOST + ((start + step) % count);
    if (!used.has(host)) return host;
  }
  throw new WeftError('WEFT_SANDBOX_POOL', `all ${count} addresses of ${formatCidr(pool.pool4)} are in use`, {
    remedy: 'stop workloads of this node, or give the node a larger pool',
  });
}

function networkOf(text: string, family: 4 | 6, lengthMin: number, lengthMax: number): Cidr {
  const cidr = text.includes('/') ? tryParseCidr(text) : null;
  if (cidr === null || familyOf(cidr.base) !== family || cidr.length < lengthMin || cidr.length > lengthMax) {
    throw new WeftError('WEFT_SANDBOX_POOL', `"${text}" cannot be a pool of IPv${family} addresses`, {
      remedy: `write a network like ${family === 4 ? '10.41.1.0/24' : 'fd41:1::/64'}, its length between /${lengthMin} and /${lengthMax}`,
    });
  }
  const hostBits = BigInt((family === 4 ? 32 : 128) - cidr.length);
  const base = fromNumber((toNumber(cidr.base) >> hostBits) << hostBits, family);
  return { base, length: cidr.length };
}

function addressAt(cidr: Cidr, host: number): IpAddress {
  return fromNumber(toNumber(cidr.base) + BigInt(host), familyOf(cidr.base));
}

function toNumber(address: IpAddress): bigint {
  return BigInt(`0x${ipToBytes(address).toString('hex')}`);
}

function fromNumber(value: bigint, family: 4 | 6): IpAddress {
  return bytesToIp(Buffer.from(value.toString(16).padStart(family === 4 ? 8 : 32, '0'), 'hex'));
}
