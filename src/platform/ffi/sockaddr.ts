import { bytesToIp, type Family, familyOf, type IpAddress, ipToBytes16 } from '#model/address/ip.ts';

const AF_INET = 2;
const AF_INET6 = 10;
/** Fixed by RFC 4291 2.5.5.2. */
const MAPPED_PREFIX_BYTES = 12;

/** Fixed by Linux: `struct sockaddr_in` and `sockaddr_in6`. */
const BYTES = { 4: 16, 6: 28 } as const;
/**
 * A small new buffer costs a foreign call 1 µs: what it points at has to be moved out of the heap first. What no address has (a
 * flow, a scope, what fills a sockaddr_in up) stays zero in these.
 */
const SHARED = { 4: Buffer.alloc(BYTES[4]), 6: Buffer.alloc(BYTES[6]) } as const;

/** `struct sockaddr_in` or `sockaddr_in6`; `as` 6 writes IPv4 as v4-mapped. */
export function encodeSockaddr(ip: IpAddress, port: number, as: Family = familyOf(ip)): Buffer {
  return encodeInto(Buffer.alloc(BYTES[as]), ip, port, as);
}

/** The same for a call that is made at once and keeps nothing of it: the next one is written over it. */
export function sockaddrOnce(ip: IpAddress, port: number): Buffer {
  const family = familyOf(ip);
  return encodeInto(SHARED[family], ip, port, family);
}

function encodeInto(bytes: Buffer, ip: IpAddress, port: number, as: Family): Buffer {
  bytes.writeUInt16LE(as === 4 ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  // The last four bytes of the mapped form, which is remembered, are the address: nothing is read again.
  if (as === 4) ipToBytes16(ip).copy(bytes, 4, MAPPED_PREFIX_BYTES);
  else ipToBytes16(ip).copy(bytes, 8);
  return bytes;
}

/** Reads a `struct sockaddr_in` or `sockaddr_in6`; v4-mapped becomes IPv4. */
export function decodeSockaddr(bytes: Buffer): { ip: IpAddress; port: number } {
  const v6 = bytes.readUInt16LE(0) === AF_INET6;
  return { ip: bytesToIp(v6 ? bytes.subarray(8, 24) : bytes.subarray(4, 8)), port: bytes.readUInt16BE(2) };
}
