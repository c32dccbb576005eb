import { closeSync } from 'node:fs';
import { parseIp } from '#model/address/ip.ts';
import { bind, ERRNO, errno, errnoName, getsockname, listen, pipe2, recv, send, socket, splice } from '#platform/ffi/libc.ts';
import { Memory } from '#platform/ffi/memory.ts';
import { encodeSockaddr } from '#platform/ffi/sockaddr.ts';
import { SOCKADDR_BYTES, SYSCALLS } from '#platform/ffi/syscalls.ts';
import type { SpliceReaders } from '#protocol/api/agent.ts';
import { libbpf } from './libbpf.ts';

/** Fixed by the kernel: its numbers of a kind of map, of program, of place and of helper. */
const SOCKMAP = 15;
const SK_MSG = 16;
const MSG_VERDICT = 7;
const MSG_REDIRECT_MAP = 60;
const INGRESS = 1;
const WORD_BYTES = 4;
const INSTRUCTION_BYTES = 8;
/** Fixed by Linux. */
const [AF_INET, SOCK_STREAM_CLOEXEC, O_NONBLOCK] = [2, 0o2000001, 0o4000];
const [MSG_DONTWAIT, SPLICE_F_NONBLOCK] = [0x40, 2];
/** Places of the map. */
const [SENDER, RECEIVER] = [0, 1];

/**
 * Tries what a path from socket to socket would have to rely on: a byte is redirected between two connected sockets of this process,
 * and read as Go's io.Copy and HAProxy read. Where they are not served the socket is readable, and splice(2) never gets the byte.
 * Nothing of it stays. Needs CAP_BPF and loopback.
 */
export function probeSpliceReaders(): SpliceReaders {
  const open: number[] = [];
  const own: Own = (fd) => {
    if (fd < 0) throw new Error(errnoName(errno()));
    open.push(fd);
    return fd;
  };
  try {
    return tried(own);
  } catch {
    return 'unknown'; // it could not be tried; nothing depends on it
  } finally {
    for (const fd of open) closeSync(fd);
  }
}

/** Notes a descriptor down, to be closed at the end. Errors: that of a call which gave none. */
type Own = (fd: number) => number;

function tried(own: Own): SpliceReaders {
  const { sender, receiver } = connected(own);
  redirect(own, sender, receiver);
  const byte = Buffer.alloc(1);
  if (Number(send(sender, byte, byte.length, 0)) !== byte.length) throw new Error(errnoName(errno()));
  const ends = Buffer.alloc(2 * WORD_BYTES);
  if (pipe2(ends, O_NONBLOCK) < 0) throw new Error(errnoName(errno()));
  const [, into = -1] = [own(ends.readInt32LE(0)), own(ends.readInt32LE(WORD_BYTES))];
  if (Number(splice(receiver, null, into, null, byte.length, SPLICE_F_NONBLOCK)) === byte.length) return 'served';
  // It has to be there, or that says nothing.
  const isRefused = errno() === ERRNO.again;
  return isRefused && Number(recv(receiver, byte, byte.length, MSG_DONTWAIT)) === byte.length ? 'not served' : 'unknown';
}

/** Both ends of a connection; the receiver never waits. */
function connected(own: Own): { sender: number; receiver: number } {
  const address = encodeSockaddr(parseIp('127.0.0.1'), 0);
  const length = Buffer.alloc(WORD_BYTES);
  length.writeUInt32LE(address.length);
  const listener = own(socket(AF_INET, SOCK_STREAM_CLOEXEC, 0));
  const failed = bind(listener, address, address.length) || listen(listener, 1) || getsockname(listener, address, length);
  const sender = own(socket(AF_INET, SOCK_STREAM_CLOEXEC, 0));
  if (failed !== 0 || SYSCALLS.connect(sender, address) < 0) throw new Error('no connection over loopback');
  return { sender, receiver: own(SYSCALLS.accept(listener, new Memory(SOCKADDR_BYTES))) };
}

/** From then on what one of them sends goes into the receiver's queue of redirected bytes. */
function redirect(own: Own, sender: number, receiver: number): void {
  const api = libbpf();
  const map = own(api.mapCreate(SOCKMAP, 'weft_splice', WORD_BYTES, WORD_BYTES, 2, null));
  const code = instructions(map);
  const program = own(api.programLoad(SK_MSG, 'weft_splice', 'GPL', code, code.length / INSTRUCTION_BYTES, null));
  const sockets = [
    [SENDER, sender],
    [RECEIVER, receiver],
  ] as const;
  const failed = api.programAttach(program, map, MSG_VERDICT, 0) !== 0;
  if (failed || sockets.some(([at, fd]) => api.mapUpdate(map, word(at), word(fd), 0n) !== 0)) throw new Error(errnoName(errno()));
}

/** `return bpf_msg_redirect_map(message, map, RECEIVER, BPF_F_INGRESS)`, as the kernel reads it. */
function instructions(map: number): Buffer {
  const [loadMap, move, call, exit] = [0x18, 0xb7, 0x85, 0x95];
  /** Registers of the arguments; the map's also says that its value is the descriptor of one. */
  const [ofMap, third, fourth] = [0x12, 3, 4];
  const one = (code: number, registers: number, value: number): Buffer => {
    const bytes = Buffer.alloc(INSTRUCTION_BYTES);
    bytes.set([code, registers]);
    bytes.writeInt32LE(value, WORD_BYTES);
    return bytes;
  };
  return Buffer.concat([
    one(loadMap, ofMap, map),
    one(0, 0, 0), // its upper half
    one(move, third, RECEIVER),
    one(move, fourth, INGRESS),
    one(call, 0, MSG_REDIRECT_MAP),
    one(exit, 0, 0),
  ]);
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(WORD_BYTES);
  bytes.writeUInt32LE(value);
  return bytes;
}
