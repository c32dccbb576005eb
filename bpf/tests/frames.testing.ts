import { familyOf, type IpAddress, ipToBytes, ipToBytes16 } from '#model/address/ip.ts';

/** Protocol numbers of the IP header, as far as tests send them. */
export const PROTOCOL = {
  icmp: 1,
  ipip: 4,
  tcp: 6,
  udp: 17,
  sixInFour: 41,
  gre: 47,
  esp: 50,
  icmp6: 58,
  sctp: 132,
  raw: 253,
} as const;

/** Ethernet's type field. */
export const ETHERTYPE = { ip4: 0x0800, arp: 0x0806, vlan: 0x8100, ip6: 0x86dd, eapol: 0x888e, qinq: 0x88a8 } as const;

/** A frame; `type` below 1536 is a length, as spanning tree has it. */
export function ethernet(from: string, to: string, type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(14);
  macBytes(to).copy(header, 0);
  macBytes(from).copy(header, 6);
  header.writeUInt16BE(type, 12);
  return Buffer.concat([header, payload]);
}

/** An IPv4 or IPv6 packet; `fragment`: the field of that name, 0 when whole; `options`: IPv4's, in words of 4 bytes. */
export function packet(
  from: IpAddress,
  to: IpAddress,
  protocol: number,
  payload: Buffer,
  { fragment = 0, options = Buffer.alloc(0) }: { fragment?: number; options?: Buffer } = {},
): Buffer {
  if (familyOf(from) === 6) {
    const header = Buffer.alloc(40);
    header.writeUInt8(0x60, 0);
    header.writeUInt16BE(payload.length, 4);
    header.writeUInt8(protocol, 6);
    header.writeUInt8(255, 7);
    ipToBytes16(from).copy(header, 8);
    ipToBytes16(to).copy(header, 24); // so IPv4 is written in its mapped form
    return Buffer.concat([header, payload]);
  }
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45 + options.length / 4, 0);
  header.writeUInt16BE(20 + options.length + payload.length, 2);
  header.writeUInt16BE(fragment, 6);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  ipToBytes(from).copy(header, 12);
  ipToBytes(to).copy(header, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, options, payload]);
}

/** A segment or datagram header with its ports; `flags` are TCP's. */
export function tcp(from: number, to: number, flags: number, payload = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(from, 0);
  header.writeUInt16BE(to, 2);
  header.writeUInt8(0x50, 12);
  header.writeUInt8(flags, 13);
  return Buffer.concat([header, payload]);
}

/** A UDP datagram without checksum. */
export function udp(from: number, to: number, payload = Buffer.from('clear')): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(from, 0);
  header.writeUInt16BE(to, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** What an ARP message says; operation 1 asks, 2 answers. */
export type Arp = { operation: number; mac: string; ip: IpAddress; target: IpAddress };

/** An ARP message about IPv4 over Ethernet. */
export function arp({ operation, mac, ip, target }: Arp): Buffer {
  const fixed = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]);
  return Buffer.concat([fixed, macBytes(mac), ipToBytes(ip), Buffer.alloc(6), ipToBytes(target)]);
}

/** Neighbour discovery about `target`: type 135 asks, 136 answers; `options` as `linkOption` gives them. */
export function neighbour(type: number, target: IpAddress, ...options: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([type, 0, 0, 0, 0, 0, 0, 0]), ipToBytes(target), ...options]);
}

/** A link-layer address option: type 1 is the sender's, 2 the target's. */
export function linkOption(type: number, mac: string): Buffer {
  return Buffer.concat([Buffer.from([type, 1]), macBytes(mac)]);
}

/** An IPv6 extension header of 8 bytes, in front of what `next` names. */
export function extension(next: number, payload: Buffer, rest = Buffer.alloc(6)): Buffer {
  return Buffer.concat([Buffer.from([next, 0]), rest, payload]);
}

/** The bytes of `02:00:00:00:00:01`. */
export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex');
}

function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
