import { familyOf, type IpAddress, ipToBytes, ipToBytes16 } from '#model/address/ip.ts';

/** One end of a connection. */
type End = { readonly ip: IpAddress; readonly port: number };

// Fixed by the PROXY protocol, version 2 (2.2).
const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const VERSION_2_PROXY = 0x21;
const STREAM_OVER_IP4 = 0x11;
const STREAM_OVER_IP6 = 0x21;

/** Of the range for applications: the identity that the peer proved, as text. Source: docs/rules/node-proxy.md (B66). */
const TLV_IDENTITY = 0xd0;

/**
 * The header of the PROXY protocol, version 2, that tells an app who speaks to it and what was asked for. Where the two are of
 * different families both are told as IPv6, as the header has one family.
 */
export function proxyHeader(source: End, dialled: End, identity: string): Buffer {
  const isIp4 = familyOf(source.ip) === 4 && familyOf(dialled.ip) === 4;
  const bytesOf = isIp4 ? ipToBytes : ipToBytes16;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(source.port, 0);
  ports.writeUInt16BE(dialled.port, 2);
  const told = Buffer.from(identity);
  const about = Buffer.alloc(3);
  about.writeUInt8(TLV_IDENTITY, 0);
  about.writeUInt16BE(told.length, 1);
  const content = Buffer.concat([bytesOf(source.ip), bytesOf(dialled.ip), ports, about, told]);
  const head = Buffer.alloc(4);
  head.writeUInt8(VERSION_2_PROXY, 0);
  head.writeUInt8(isIp4 ? STREAM_OVER_IP4 : STREAM_OVER_IP6, 1);
  head.writeUInt16BE(content.length, 2);
  return Buffer.concat([SIGNATURE, head, content]);
}
