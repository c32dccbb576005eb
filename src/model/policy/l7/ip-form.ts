import { familyOf, ipToBytes16, tryParseCidr } from '#model/address/ip.ts';

/** Tests a 16-byte address (IPv4 mapped) against one block, without parsing anything per call. */
export type BlockTest = (bytes: Uint8Array) => boolean;

/** Compiles an IP or CIDR; null when malformed. An IPv4 block never holds an IPv6 address, nor the reverse. */
export function compileBlock(text: string): BlockTest | null {
  const cidr = tryParseCidr(text);
  if (cidr === null) return null;
  const isIp4 = familyOf(cidr.base) === 4;
  const base = ipToBytes16(cidr.base);
  const bits = cidr.length + (isIp4 ? 96 : 0);
  return (bytes) => isMapped(bytes) === isIp4 && samePrefix(base, bytes, bits);
}

function samePrefix(base: Uint8Array, bytes: Uint8Array, bits: number): boolean {
  const whole = bits >> 3;
  for (let at = 0; at < whole; at++) if (base[at] !== bytes[at]) return false;
  const mask = (0xff << (8 - (bits & 7))) & 0xff;
  return ((base[whole] ?? 0) & mask) === ((bytes[whole] ?? 0) & mask);
}

function isMapped(bytes: Uint8Array): boolean {
  for (let at = 0; at < 10; at++) if (bytes[at] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}
