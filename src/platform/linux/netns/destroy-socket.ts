import { closeSync } from 'node:fs';
import { familyOf, type IpAddress, ipToBytes } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { errno, errnoName, recv, send, socket } from '#platform/ffi/libc.ts';
import { inNamespace } from './namespace.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DESTROY = 21;
const REQUEST_WITH_ACK = 0x5;
/** Fixed by the kernel: struct nlmsghdr, and that with struct inet_diag_req_v2 behind it. */
const HEADER_BYTES = 16;
const REQUEST_BYTES = 72;
const AF = { 4: 2, 6: 10 } as const;
const IPPROTO_TCP = 6;
const ANY_STATE = 0xffffffff;
const NO_COOKIE = 0xffffffffffffffffn;

/** A socket as its owner sees it. */
export type SocketTuple = { local: IpAddress; localPort: number; remote: IpAddress; remotePort: number };

/**
 * Aborts a TCP socket of a namespace: its owner gets ECONNABORTED, its peer a reset. True when it existed.
 * `socketCookie` guards against a re-used tuple. Errors: WEFT_SOCK_DESTROY when the kernel cannot
 * (CONFIG_INET_DIAG_DESTROY). Source: sock_diag(7).
 */
export function destroySocket(netnsFd: number, tuple: SocketTuple, socketCookie: bigint = NO_COOKIE): boolean {
  const fd = inNamespace(netnsFd, () => socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG));
  if (fd < 0) throw failure(errno());
  try {
    const request = encodeRequest(tuple, socketCookie);
    if (send(fd, request, request.length, 0) < 0) throw failure(errno());
    const reply = Buffer.alloc(512);
    if (recv(fd, reply, reply.length, 0) < 0) throw failure(errno());
    const code = reply.readInt32LE(HEADER_BYTES);
    if (code === 0) return true;
    if (errnoName(code) === 'ENOENT' || errnoName(code) === 'ESTALE') return false;
    throw failure(-code);
  } finally {
    closeSync(fd);
  }
}

function encodeRequest(tuple: SocketTuple, socketCookie: bigint): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32LE(REQUEST_BYTES, 0);
  bytes.writeUInt16LE(SOCK_DESTROY, 4);
  bytes.writeUInt16LE(REQUEST_WITH_ACK, 6);
  bytes.writeUInt8(AF[familyOf(tuple.local)], HEADER_BYTES);
  bytes.writeUInt8(IPPROTO_TCP, HEADER_BYTES + 1);
  bytes.writeUInt32LE(ANY_STATE, HEADER_BYTES + 4);
  bytes.writeUInt16BE(tuple.localPort, 24);
  bytes.writeUInt16BE(tuple.remotePort, 26);
  ipToBytes(tuple.local).copy(bytes, 28);
  ipToBytes(tuple.remote).copy(bytes, 44);
  bytes.writeBigUInt64LE(socketCookie, 64);
  return bytes;
}

function failure(code: number): WeftError {
  return new WeftError('WEFT_SOCK_DESTROY', `cannot close a live connection: ${errnoName(code)}`, {
    remedy: 'the kernel needs CONFIG_INET_DIAG_DESTROY, the agent CAP_NET_ADMIN',
  });
}
