import { closeSync } from 'node:fs';
import { familyOf, ipToBytes } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { errno, errnoName, recv, send, socket } from '#platform/ffi/libc.ts';
import type { SocketTuple } from './destroy-socket.ts';

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const REQUEST = 0x1;
const ANY_STATE = 0xffffffff;
const IPPROTO_TCP = 6;
const AF = { 4: 2, 6: 10 } as const;
const NO_COOKIE = 0xffffffffffffffffn;
/** Fixed by the kernel: struct nlmsghdr, and that with struct inet_diag_req_v2 behind it; where struct inet_diag_msg has the inode. */
const HEADER_BYTES = 16;
const REQUEST_BYTES = 72;
const INODE_OFFSET = HEADER_BYTES + 68;

/**
 * The inode of a TCP socket of this thread's own network namespace, by which /proc/<pid>/fd tells who has it; null: there is none of
 * these ends, or nobody has it open. Errors: WEFT_SOCK_DIAG. Source: sock_diag(7).
 */
export function socketInode(tuple: SocketTuple): number | null {
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) throw failure(errno());
  try {
    const request = encode(tuple);
    if (send(fd, request, request.length, 0) < 0) throw failure(errno());
    const reply = Buffer.alloc(1_024);
    const length = Number(recv(fd, reply, reply.length, 0));
    if (length < 0) throw failure(errno());
    // Anything else says that there is no such socket.
    if (reply.readUInt16LE(4) !== SOCK_DIAG_BY_FAMILY || length < INODE_OFFSET + 4) return null;
    return reply.readUInt32LE(INODE_OFFSET) || null;
  } finally {
    closeSync(fd);
  }
}

function encode({ local, localPort, remote, remotePort }: SocketTuple): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32LE(REQUEST_BYTES, 0);
  bytes.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  bytes.writeUInt16LE(REQUEST, 6);
  bytes.writeUInt8(AF[familyOf(local)], HEADER_BYTES);
  bytes.writeUInt8(IPPROTO_TCP, HEADER_BYTES + 1);
  bytes.writeUInt32LE(ANY_STATE, HEADER_BYTES + 4);
  bytes.writeUInt16BE(localPort, 24);
  bytes.writeUInt16BE(remotePort, 26);
  ipToBytes(local).copy(bytes, 28);
  ipToBytes(remote).copy(bytes, 44);
  bytes.writeBigUInt64LE(NO_COOKIE, 64);
  return bytes;
}

function failure(code: number): WeftError {
  return new WeftError('WEFT_SOCK_DIAG', `cannot look up a connection: ${errnoName(code)}`, {
    remedy: 'the kernel needs CONFIG_INET_DIAG, the agent CAP_NET_ADMIN',
  });
}
