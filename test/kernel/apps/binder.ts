/**
 * Binds sockets as an app would to sit beside another's, driven by lines: "bind tcp|udp HOST PORT [reuseaddr] [reuseport]" prints
 * "bound" or the error, and lets go at once; "hold …" is the same and keeps it; "send HOST PORT TEXT" sends a datagram from the
 * socket held last, "receive" prints the next one with its sender, "port" where it is bound.
 */
import { closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import koffi from 'koffi';
import { familyOf, parseIp } from '#model/address/ip.ts';
import { bind, errno, errnoName, getsockname, setsockopt, socket } from '#platform/ffi/libc.ts';
import { decodeSockaddr, encodeSockaddr } from '#platform/ffi/sockaddr.ts';

const libc = koffi.load('libc.so.6');
const listen = libc.func('int listen(int fd, int backlog)');
const sendto = libc.func(
  'int64_t sendto(int fd, const void *data, uint64_t length, int flags, const void *address, uint32_t size)',
);
const recvfrom = libc.func('int64_t recvfrom(int fd, void *data, uint64_t length, int flags, void *address, void *size)');
const AF = { 4: 2, 6: 10 } as const;
const KIND = { tcp: 1, udp: 2 } as const;
const [SOL_SOCKET, SO_RCVTIMEO] = [1, 20];
const OPTION = { reuseaddr: 2, reuseport: 15 } as const;

let held = -1;

/** The descriptor, or the name of an error. */
function bound([kind = 'tcp', host = '', port = '', ...options]: string[]): number | string {
  const ip = parseIp(host);
  const fd = socket(AF[familyOf(ip)], KIND[kind === 'udp' ? 'udp' : 'tcp'], 0);
  const one = Buffer.alloc(4);
  one.writeInt32LE(1);
  for (const name of options) setsockopt(fd, SOL_SOCKET, OPTION[name === 'reuseport' ? 'reuseport' : 'reuseaddr'], one, 4);
  const wait = Buffer.alloc(16);
  wait.writeBigInt64LE(1n); // a second
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, wait, wait.length);
  const address = encodeSockaddr(ip, Number(port));
  if (bind(fd, address, address.length) === 0 && (kind === 'udp' || listen(fd, 1) === 0)) return fd;
  const error = errnoName(errno());
  closeSync(fd);
  return error;
}

function lengthOf(buffer: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(buffer.length);
  return length;
}

function receive(): string {
  const [data, from] = [Buffer.alloc(2048), Buffer.alloc(28)];
  const length = Number(recvfrom(held, data, data.length, 0, from, lengthOf(from)));
  if (length < 0) return errnoName(errno());
  const { ip, port } = decodeSockaddr(from);
  return `${ip} ${port} ${data.toString('utf8', 0, length)}`;
}

function portOf(): number {
  const address = Buffer.alloc(28);
  getsockname(held, address, lengthOf(address));
  return decodeSockaddr(address).port;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [verb = '', ...rest] = line.split(' ');
  if (verb === 'send') {
    const [host = '', port = '', text = ''] = rest;
    const address = encodeSockaddr(parseIp(host), Number(port));
    const sent = Number(sendto(held, Buffer.from(text), text.length, 0, address, address.length));
    return console.log(sent < 0 ? errnoName(errno()) : 'sent');
  }
  if (verb === 'receive') return console.log(receive());
  if (verb === 'port') return console.log(portOf());
  const result = bound(rest);
  if (typeof result === 'string') return console.log(result);
  if (verb === 'hold') held = result;
  else closeSync(result);
  console.log('bound');
});
console.log('ready');
