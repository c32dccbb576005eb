import { closeSync } from 'node:fs';
import { bytesToIp, type IpAddress } from '#model/address/ip.ts';
import { WeftError } from '#model/error.ts';
import { errno, errnoName, recv, send, socket } from '#platform/ffi/libc.ts';
import { inNamespace } from './namespace.ts';

/** A TCP connection of a namespace, from the side of the socket that is in it. */
export type OpenConnection = {
  /** The kernel's number of the socket, never used again. */
  socketCookie: bigint;
  local: IpAddress;
  localPort: number;
  remote: IpAddress;
  remotePort: number;
};

/** The TCP sockets of a namespace: ports that somebody listens on, and connections from their first SYN to their last FIN. */
export type NamespaceConnections = { listening: ReadonlySet<number>; open: readonly OpenConnection[] };

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const DUMP_REQUEST = 0x301;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const IPPROTO_TCP = 6;
const AF_INET = 2;
const AF_INET6 = 10;
const TCP_LISTEN = 10;
/** Every state but TIME_WAIT (6), CLOSE (7) and BOUND_INACTIVE (13), in which there is nothing to close; 12 is NEW_SYN_RECV. */
const LIVE_STATES = [1, 2, 3, 4, 5, 8, 9, TCP_LISTEN, 11, 12].reduce((mask, state) => mask | (1 << state), 0);
/** Fixed by the kernel: struct nlmsghdr, and that with struct inet_diag_req_v2 behind it; struct inet_diag_msg. */
const HEADER_BYTES = 16;
const REQUEST_BYTES = 72;
const MESSAGE_BYTES = 72;
/** Fixed by the kernel: a dump comes in pieces of at most 32 KiB. */
const ANSWER_BYTES = 64 * 1_024;

/** Lists the TCP sockets of a namespace as they are now. Errors: WEFT_SOCK_DIAG. Source: sock_diag(7). */
export function listConnections(netnsFd: number): NamespaceConnections {
  const listening = new Set<number>();
  const open: OpenConnection[] = [];
  for (const family of [AF_INET, AF_INET6]) {
    for (const { state, ...connection } of dump(netnsFd, family)) {
      if (state === TCP_LISTEN) listening.add(connection.localPort);
      else open.push(connection);
    }
  }
  return { listening, open };
}

function dump(netnsFd: number, family: number): (OpenConnection & { state: number })[] {
  const fd = inNamespace(netnsFd, () => socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_SOCK_DIAG));
  if (fd < 0) throw failure(errno());
  try {
    const request = encodeRequest(family);
    if (send(fd, request, request.length, 0) < 0) throw failure(errno());
    const found: (OpenConnection & { state: number })[] = [];
    const into = Buffer.alloc(ANSWER_BYTES);
    for (;;) {
      const length = Number(recv(fd, into, into.length, 0));
      if (length <= 0) throw failure(errno());
      if (readMessages(into.subarray(0, length), found)) return found;
    }
  } finally {
    closeSync(fd);
  }
}

/** True at the end of the dump. */
function readMessages(bytes: Buffer, found: (OpenConnection & { state: number })[]): boolean {
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const kind = bytes.readUInt16LE(at + 4);
    if (kind === NLMSG_DONE) return true;
    if (kind === NLMSG_ERROR) throw failure(-bytes.readInt32LE(at + HEADER_BYTES));
    if (kind === SOCK_DIAG_BY_FAMILY && length >= HEADER_BYTES + MESSAGE_BYTES)
      found.push(decode(bytes.subarray(at + HEADER_BYTES)));
    at += Math.max(HEADER_BYTES, (length + 3) & ~3);
  }
  return false;
}

/** A v4-mapped IPv6 socket becomes IPv4, as everywhere. */
function decode(message: Buffer): OpenConnection & { state: number } {
  const bytes = message.readUInt8(0) === AF_INET ? 4 : 16;
  return {
    state: message.readUInt8(1),
    localPort: message.readUInt16BE(4),
    remotePort: message.readUInt16BE(6),
    local: bytesToIp(message.subarray(8, 8 + bytes)),
    remote: bytesToIp(message.subarray(24, 24 + bytes)),
    socketCookie: message.readBigUInt64LE(44),
  };
}

function encodeRequest(family: number): Buffer {
  const bytes = Buffer.alloc(REQUEST_BYTES);
  bytes.writeUInt32LE(REQUEST_BYTES, 0);
  bytes.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  bytes.writeUInt16LE(DUMP_REQUEST, 6);
  bytes.writeUInt8(family, HEADER_BYTES);
  bytes.writeUInt8(IPPROTO_TCP, HEADER_BYTES + 1);
  bytes.writeUInt32LE(LIVE_STATES, HEADER_BYTES + 4);
  return bytes;
}

function failure(code: number): WeftError {
  return new WeftError('WEFT_SOCK_DIAG', `cannot list the connections of a workload: ${errnoName(code)}`, {
    remedy: 'the kernel needs CONFIG_INET_DIAG, the agent CAP_NET_ADMIN',
  });
}
