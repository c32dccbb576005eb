import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { WeftError } from '#model/error.ts';
import { HOST } from '#model/settings/host.ts';

declare const brand: unique symbol;

/**
 * An IP address in canonical text: dotted IPv4, or compressed lower-case IPv6 (RFC 5952).
 * An IPv4-mapped IPv6 address is always held as its IPv4 form.
 */
export type IpAddress = string & { readonly [brand]: 'IpAddress' };

/** IP version. */
export type Family = 4 | 6;

const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex');

/** Canonical texts: what is asked for most is canonical already. */
const canonicalTexts = new Map<string, IpAddress>();
const mappedBytes = new Map<IpAddress, Buffer>();
/** By the bytes, each as a character. */
const textsOfBytes = new Map<string, IpAddress>();

/** A cache that is full starts anew, so that nobody who sends many addresses makes it grow. */
function keep<Key, Value>(cache: Map<Key, Value>, key: Key, value: Value): Value {
  if (cache.size >= HOST.addressesCachedMax) cache.clear();
  cache.set(key, value);
  return value;
}

/** The canonical address of `text`, or null when it is not an IP address. */
export function tryParseIp(text: string): IpAddress | null {
  const known = canonicalTexts.get(text);
  if (known !== undefined) return known;
  const ip = readIp(text);
  // The key is the text that was made here: one that was cut out of a message would keep the whole message.
  return ip === text ? keep(canonicalTexts, ip, ip) : ip;
}

function readIp(text: string): IpAddress | null {
  const bare = text.includes('%') ? '' : text;
  if (isIP(bare) === 0) return null;
  return ipaddr.process(bare).toString() as IpAddress;
}

/** Errors: WEFT_IP when `text` is not an IP address. */
export function parseIp(text: string): IpAddress {
  const ip = tryParseIp(text);
  if (ip === null) throw new WeftError('WEFT_IP', `"${text}" is not an IP address`, { remedy: 'write an IPv4 or IPv6 address' });
  return ip;
}

/** Ranges that no workload can have, in the words of ipaddr.js: packets to them stay on a host, or on a link, or go to many. */
const SPECIAL: ReadonlyMap<string, string> = new Map([
  ['unspecified', 'unspecified'],
  ['broadcast', 'broadcast'],
  ['multicast', 'multicast'],
  ['linkLocal', 'link-local'],
  ['loopback', 'loopback'],
]);

/** Why an address can be no workload's in any network, in a word (`loopback`, say); null: it can be one. */
export function specialUseOf(ip: IpAddress): string | null {
  return SPECIAL.get(ipaddr.parse(ip).range()) ?? null;
}

/** Whether a text is an address of the machine itself, by which only its own processes come. */
export function isLoopback(text: string): boolean {
  const ip = tryParseIp(text);
  return ip !== null && specialUseOf(ip) === 'loopback';
}

/** 4 for IPv4, 6 for IPv6. */
export function familyOf(ip: IpAddress): Family {
  return ip.includes(':') ? 6 : 4;
}

/** The address as 4 or 16 bytes, network byte order (the form of WDS). */
export function ipToBytes(ip: IpAddress): Buffer {
  return Buffer.from(ipaddr.parse(ip).toByteArray());
}

/** The address as 16 bytes, IPv4 as v4-mapped (the form of every eBPF map): shared with whoever else asks, never to be written to. */
export function ipToBytes16(ip: IpAddress): Buffer {
  const known = mappedBytes.get(ip);
  if (known !== undefined) return known;
  const bytes = ipToBytes(ip);
  return keep(mappedBytes, ip, bytes.length === 16 ? bytes : Buffer.concat([MAPPED_PREFIX, bytes]));
}

/** The same of 16 bytes in the middle of others, as eBPF maps have them; all zero: null. */
export function readMappedIp(from: Buffer, at: number): IpAddress | null {
  const first = from.readUInt32LE(at) | from.readUInt32LE(at + 4);
  if ((first | from.readUInt32LE(at + 8) | from.readUInt32LE(at + 12)) === 0) return null;
  return textsOfBytes.get(from.toString('latin1', at, at + 16)) ?? bytesToIp(from.subarray(at, at + 16));
}

/** Reads 4 or 16 bytes; v4-mapped becomes IPv4. Errors: WEFT_IP for any other length. */
export function bytesToIp(bytes: Uint8Array): IpAddress {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new WeftError('WEFT_IP', `an IP address has 4 or 16 bytes, not ${bytes.length}`);
  }
  const key = (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)).toString('latin1');
  const known = textsOfBytes.get(key);
  if (known !== undefined) return known;
  if (bytes.length === 4) return keep(textsOfBytes, key, bytes.join('.') as IpAddress);
  const parsed = ipaddr.fromByteArray([...bytes]);
  const ip = (
    parsed.kind() === 'ipv6' && (parsed as ipaddr.IPv6).isIPv4MappedAddress() ? (parsed as ipaddr.IPv6).toIPv4Address() : parsed
  ).toString() as IpAddress;
  return keep(textsOfBytes, key, ip);
}

/** `1.2.3.4:80` or `[::1]:80`. */
export function formatAddress(ip: IpAddress, port: number): string {
  return familyOf(ip) === 6 ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** Splits `host:port`, `[v6]:port`; null when there is no valid port. The host may be a name. */
export function splitHostPort(text: string): { host: string; port: number } | null {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return null;
  return { host: match[1] ?? match[2] ?? '', port };
}

/** An address range: `length` leading bits of `base` count. */
export type Cidr = { base: IpAddress; length: number };

/** Parses `10.0.0.0/8` or a bare address (full length); null when malformed. */
export function tryParseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  const base = tryParseIp(slash < 0 ? text : text.slice(0, slash));
  if (base === null) return null;
  const full = familyOf(base) === 4 ? 32 : 128;
  if (slash < 0) return { base, length: full };
  const digits = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(digits) || Number(digits) > full) return null;
  return { base, length: Number(digits) };
}

/** `10.41.1.0/24`. */
export function formatCidr({ base, length }: Cidr): string {
  return `${base}/${length}`;
}

/** The block of this length that an address lies in; null: addresses of its family have no such length. */
export function cidrAround(ip: IpAddress, length: number): Cidr | null {
  const bytes = ipToBytes(ip);
  if (length > bytes.length * 8) return null;
  for (let at = 0; at < bytes.length; at++) {
    const left = Math.max(0, Math.min(8, length - at * 8));
    bytes[at] = (bytes[at] ?? 0) & (0xff << (8 - left));
  }
  return { base: bytesToIp(bytes), length };
}

/** Whether a block holds one address alone. */
export function isSingle({ base, length }: Cidr): boolean {
  return length === (familyOf(base) === 4 ? 32 : 128);
}

/** Whether `ip` lies in `cidr`; addresses of the other family never do. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (familyOf(cidr.base) !== familyOf(ip)) return false;
  const base = ipToBytes(cidr.base);
  const other = ipToBytes(ip);
  const whole = cidr.length >> 3;
  for (let at = 0; at < whole; at++) if (base[at] !== other[at]) return false;
  const rest = cidr.length & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((base[whole] ?? 0) & mask) === ((other[whole] ?? 0) & mask);
}
