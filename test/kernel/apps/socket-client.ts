/**
 * Sockets as an attacker uses them, driven by lines; prints one line for each:
 * "connect HOST PORT", and "mptcp HOST PORT"; "serve PORT" listens with TCP_DEFER_ACCEPT and "accept" takes a connection; "defer HOST PORT" connects with TCP_FASTOPEN_CONNECT (no SYN leaves yet), "fastopen HOST PORT TEXT" sends with MSG_FASTOPEN,
 * "send TEXT", "receive", "close", "abort" (by a reset); "syn SOURCE PORT HOST PORT" sends a raw SYN (IPv4) and waits for what answers.
 */
import { closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import koffi from 'koffi';
import { familyOf, ipToBytes, parseIp } from '#model/address/ip.ts';
import { bind, errno, errnoName, recv, send, setsockopt, socket } from '#platform/ffi/libc.ts';
import { decodeSockaddr, encodeSockaddr } from '#platform/ffi/sockaddr.ts';

const libc = koffi.load('libc.so.6');
const connect = libc.func('int connect(int fd, const void *address, uint32_t length)');
const listen = libc.func('int listen(int fd, int backlog)');
const accept = libc.func('int accept(int fd, void *address, void *length)');
const getpeername = libc.func('int getpeername(int fd, void *address, void *length)');
const sendto = libc.func(
  'int64_t sendto(int fd, const void *data, uint64_t length, int flags, const void *address, uint32_t size)',
);
const [AF_INET, AF_INET6, SOCK_STREAM, SOCK_RAW, IPPROTO_IP, TCP, IPPROTO_MPTCP] = [2, 10, 1, 3, 0, 6, 262];
const [SOL_SOCKET, SO_LINGER, SO_RCVTIMEO, IP_HDRINCL] = [1, 13, 20, 3];
const [TCP_DEFER_ACCEPT, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE] = [9, 30, 34];
const [MSG_NOSIGNAL, MSG_FASTOPEN] = [0x4000, 0x20000000];
const WAIT_S = 1n;

let fd = -1;
let server = -1;

function option(of: number, level: number, name: number): void {
  const one = Buffer.alloc(4);
  one.writeInt32LE(name === TCP_DEFER_ACCEPT ? 30 : 1);
  if (setsockopt(of, level, name, one, 4) !== 0) throw new Error(errnoName(errno()));
}

function open(host: string, kind = SOCK_STREAM, protocol = 0): number {
  const made = socket(familyOf(parseIp(host)) === 4 ? AF_INET : AF_INET6, kind, protocol);
  const wait = Buffer.alloc(16);
  wait.writeBigInt64LE(WAIT_S);
  setsockopt(made, SOL_SOCKET, SO_RCVTIMEO, wait, wait.length);
  return made;
}

function peerPort(of: number): number {
  const address = Buffer.alloc(28);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(address.length);
  getpeername(of, address, length);
  return decodeSockaddr(address).port;
}

/** A SYN with IP header; the kernel fills in the IP checksum. */
function synBytes(from: Buffer, sourcePort: number, to: Buffer, port: number): Buffer {
  const packet = Buffer.alloc(40);
  packet.writeUInt8(0x45, 0);
  packet.writeUInt16BE(40, 2);
  packet.writeUInt8(64, 8);
  packet.writeUInt8(TCP, 9);
  from.copy(packet, 12);
  to.copy(packet, 16);
  packet.writeUInt16BE(sourcePort, 20);
  packet.writeUInt16BE(port, 22);
  packet.writeUInt32BE(0x1234_5678, 24);
  packet.writeUInt16BE(0x5002, 32);
  packet.writeUInt16BE(64_000, 34);
  const pseudo = Buffer.concat([from, to, Buffer.from([0, TCP, 0, 20]), packet.subarray(20)]);
  let sum = 0;
  for (let at = 0; at < pseudo.length; at += 2) sum += pseudo.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(~sum & 0xffff, 36);
  return packet;
}

function rawSyn(source: string, sourcePort: number, host: string, port: number): string {
  const raw = open(host, SOCK_RAW, TCP);
  option(raw, IPPROTO_IP, IP_HDRINCL);
  const packet = synBytes(ipToBytes(parseIp(source)), sourcePort, ipToBytes(parseIp(host)), port);
  const address = encodeSockaddr(parseIp(host), 0);
  if (sendto(raw, packet, packet.length, 0, address, address.length) < 0) return `error ${errnoName(errno())}`;
  const heard = Buffer.alloc(2_048);
  for (;;) {
    if (recv(raw, heard, heard.length, 0) < 0) return 'silence';
    const tcp = heard.subarray((heard.readUInt8(0) & 0xf) * 4);
    if (tcp.readUInt16BE(0) !== port || tcp.readUInt16BE(2) !== sourcePort) continue;
    return (tcp.readUInt8(13) & 4) !== 0 ? 'reset' : 'answered';
  }
}

function act(verb: string, words: string[]): string {
  const [host = '', port = '', text = ''] = words;
  const address = (): Buffer => encodeSockaddr(parseIp(host), Number(port));
  const failed = (result: number | bigint): string | null => (result < 0 ? `error ${errnoName(errno())}` : null);
  switch (verb) {
    case 'connect':
      fd = open(host);
      return failed(connect(fd, address(), address().length)) ?? 'connected';
    case 'mptcp':
      fd = open(host, SOCK_STREAM, IPPROTO_MPTCP);
      return failed(connect(fd, address(), address().length)) ?? 'connected';
    case 'serve': {
      server = open('::');
      option(server, TCP, TCP_DEFER_ACCEPT);
      const any = encodeSockaddr(parseIp('::'), Number(host));
      return failed(bind(server, any, any.length)) ?? failed(listen(server, 8)) ?? 'listening';
    }
    case 'accept':
      fd = accept(server, null, null);
      return failed(fd) ?? `accepted ${peerPort(fd)}`;
    case 'defer':
      fd = open(host);
      for (const name of [TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE]) option(fd, TCP, name);
      return failed(connect(fd, address(), address().length)) ?? 'connected';
    case 'fastopen':
      fd = open(host);
      option(fd, TCP, TCP_FASTOPEN_NO_COOKIE);
      return (
        failed(sendto(fd, Buffer.from(text), text.length, MSG_FASTOPEN | MSG_NOSIGNAL, address(), address().length)) ?? 'sent'
      );
    case 'send':
      return failed(send(fd, Buffer.from(host), host.length, MSG_NOSIGNAL)) ?? 'sent';
    case 'receive': {
      const into = Buffer.alloc(1_024);
      const count = recv(fd, into, into.length, 0);
      return failed(count) ?? `data ${into.toString('utf8', 0, Number(count)).replaceAll('\n', ' ')}`;
    }
    case 'abort':
      if (setsockopt(fd, SOL_SOCKET, SO_LINGER, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), 8) !== 0) return 'error';
      closeSync(fd);
      return 'aborted';
    case 'close':
      closeSync(fd);
      return 'closed';
    case 'syn':
      return rawSyn(host, Number(port), text, Number(words[3]));
    default:
      return `unknown ${verb}`;
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb = '', ...words] = line.split(' ');
  try {
    console.log(act(verb, words));
  } catch (error) {
    console.log('error', error instanceof Error ? error.message : error);
  }
});
console.log('ready');
