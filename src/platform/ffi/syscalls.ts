import koffi from 'koffi';
import { ERRNO } from './libc.ts';
import { type LentMemory, lent, Memory } from './memory.ts';

const libc = koffi.load('libc.so.6');

const calls = {
  recv: libc.func('int recv(int fd, uintptr_t data, size_t bytes, int flags)'),
  send: libc.func('int send(int fd, uintptr_t data, size_t bytes, int flags)'),
  sendBuffer: libc.func('int send(int fd, const void *data, size_t bytes, int flags)'),
  accept4: libc.func('int accept4(int fd, uintptr_t address, uintptr_t length, int flags)'),
  connect: libc.func('int connect(int fd, const void *address, uint32_t length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  shutdown: libc.func('int shutdown(int fd, int how)'),
  close: libc.func('int close(int fd)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, uintptr_t value, uint32_t length)'),
  getsockopt: libc.func('int getsockopt(int fd, int level, int name, uintptr_t value, uintptr_t length)'),
  getsockname: libc.func('int getsockname(int fd, uintptr_t address, uintptr_t length)'),
  epoll_create1: libc.func('int epoll_create1(int flags)'),
  epoll_ctl: libc.func('int epoll_ctl(int epoll, int operation, int fd, uintptr_t event)'),
  epoll_wait: libc.func('int epoll_wait(int epoll, uintptr_t events, int count, int timeout)'),
};

const MSG_NOSIGNAL = 0x4000;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const EPOLL_CLOEXEC = 0o2000000;

/** Bytes of a `struct epoll_event`: packed on x86-64 only. */
const EVENT_BYTES = process.arch === 'x64' ? 12 : 16;
const EVENT_DATA = EVENT_BYTES - 8;
/** Of a __u32, which its fields are made of. Fixed by Linux. */
const WORD_BYTES = 4;
const EVENT_WORDS = EVENT_BYTES / WORD_BYTES;
/** Fixed by Linux: the largest address of the families used here, `struct sockaddr_in6`. */
export const SOCKADDR_BYTES = 28;

/** What an epoll_ctl does. Fixed by Linux. */
export const EPOLL = { add: 1, remove: 2, change: 3 } as const;

/** Room for the events of one epoll_wait. */
export class EventList {
  readonly memory: Memory;
  readonly capacity: number;
  readonly #words: Uint32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.memory = new Memory(capacity * EVENT_BYTES);
    const { buffer, byteOffset, length } = this.memory.buffer;
    this.#words = new Uint32Array(buffer, byteOffset, length / WORD_BYTES);
  }

  events(at: number): number {
    return this.#words[at * EVENT_WORDS] ?? 0;
  }

  /** The two numbers that `epollCtl` was given. */
  slot(at: number): number {
    return this.#words[at * EVENT_WORDS + EVENT_WORDS - 2] ?? 0;
  }

  generation(at: number): number {
    return this.#words[at * EVENT_WORDS + EVENT_WORDS - 1] ?? 0;
  }
}

/**
 * System calls of the I/O core. Each returns what the call returns, or the negative errno, which was read right after it.
 * Tests give another object, whose calls fail where they like.
 */
export type Syscalls = {
  recv(fd: number, memory: Memory, offset: number, bytes: number): number;
  send(fd: number, memory: Memory | LentMemory, offset: number, bytes: number): number;
  /** Of a buffer that is not a Memory: it stays where it is for the call. */
  sendFrom(fd: number, buffer: Buffer, start: number, end: number): number;
  /** A non-blocking descriptor; the peer's address stands in `address`. */
  accept(fd: number, address: Memory): number;
  /** `address`: a sockaddr. */
  connect(fd: number, address: Buffer): number;
  listen(fd: number, backlog: number): number;
  /** ECONNRESET, or what else broke it, where shutdown(2) says ENOTCONN. */
  shutdownWrite(fd: number): number;
  close(fd: number): number;
  setInt(fd: number, level: number, name: number, value: number): number;
  /** SO_LINGER with no time: the next close is a reset. */
  resetOnClose(fd: number): number;
  /** SO_ERROR: the errno, 0 for none. */
  takeError(fd: number): number;
  localAddress(fd: number, address: Memory): number;
  epollCreate(): number;
  epollCtl(epoll: number, operation: number, fd: number, events: number, slot: number, generation: number): number;
  epollWait(epoll: number, events: EventList, timeoutMs: number): number;
};

const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_LINGER = 13;
const SHUT_WR = 1;

/** Arguments and results of the small calls; none of them outlives its call. */
const scratch = new Memory(64);
const SCRATCH_VALUE = 0;
const SCRATCH_LENGTH = 16;
const SCRATCH_EVENT = 32;

function result(value: number): number {
  return value < 0 ? -koffi.errno() : value;
}

/** The real ones. */
export const SYSCALLS: Syscalls = {
  recv: (fd, memory, offset, bytes) => result(calls.recv(fd, memory.at(offset, bytes), bytes, 0)),
  send: (fd, memory, offset, bytes) => result(calls.send(fd, memory.at(offset, bytes), bytes, MSG_NOSIGNAL)),
  sendFrom(fd, buffer, start, end) {
    return result(calls.sendBuffer(fd, lent(buffer, start, end), end - start, MSG_NOSIGNAL));
  },
  accept(fd, address) {
    scratch.buffer.writeUInt32LE(SOCKADDR_BYTES, SCRATCH_LENGTH);
    return result(calls.accept4(fd, address.at(0, SOCKADDR_BYTES), scratch.at(SCRATCH_LENGTH, 4), SOCK_NONBLOCK_CLOEXEC));
  },
  connect: (fd, address) => result(calls.connect(fd, lent(address, 0, address.length), address.length)),
  listen: (fd, backlog) => result(calls.listen(fd, backlog)),
  shutdownWrite(fd) {
    const failed = result(calls.shutdown(fd, SHUT_WR));
    // Once connected, and no more: what broke it is not told by this call.
    return failed === -ERRNO.notConnected ? -(SYSCALLS.takeError(fd) || ERRNO.reset) : failed;
  },
  close: (fd) => result(calls.close(fd)),
  setInt(fd, level, name, value) {
    scratch.buffer.writeInt32LE(value, SCRATCH_VALUE);
    return result(calls.setsockopt(fd, level, name, scratch.at(SCRATCH_VALUE, 4), 4));
  },
  resetOnClose(fd) {
    scratch.buffer.writeInt32LE(1, SCRATCH_VALUE);
    scratch.buffer.writeInt32LE(0, SCRATCH_VALUE + 4);
    return result(calls.setsockopt(fd, SOL_SOCKET, SO_LINGER, scratch.at(SCRATCH_VALUE, 8), 8));
  },
  takeError(fd) {
    scratch.buffer.writeInt32LE(0, SCRATCH_VALUE);
    scratch.buffer.writeUInt32LE(4, SCRATCH_LENGTH);
    const failed = result(
      calls.getsockopt(fd, SOL_SOCKET, SO_ERROR, scratch.at(SCRATCH_VALUE, 4), scratch.at(SCRATCH_LENGTH, 4)),
    );
    return failed < 0 ? -failed : scratch.buffer.readInt32LE(SCRATCH_VALUE);
  },
  localAddress(fd, address) {
    scratch.buffer.writeUInt32LE(SOCKADDR_BYTES, SCRATCH_LENGTH);
    return result(calls.getsockname(fd, address.at(0, SOCKADDR_BYTES), scratch.at(SCRATCH_LENGTH, 4)));
  },
  epollCreate: () => result(calls.epoll_create1(EPOLL_CLOEXEC)),
  epollCtl(epoll, operation, fd, events, slot, generation) {
    const { buffer } = scratch;
    buffer.writeUInt32LE(events >>> 0, SCRATCH_EVENT);
    buffer.writeUInt32LE(slot, SCRATCH_EVENT + EVENT_DATA);
    buffer.writeUInt32LE(generation, SCRATCH_EVENT + EVENT_DATA + 4);
    return result(calls.epoll_ctl(epoll, operation, fd, scratch.at(SCRATCH_EVENT, EVENT_BYTES)));
  },
  epollWait: (epoll, { memory, capacity }, timeoutMs) =>
    result(calls.epoll_wait(epoll, memory.at(0, memory.length), capacity, timeoutMs)),
};

/** Functions of libuv that the node binary exports. */
const node = koffi.load(null);
// Of C++, by the names that its compilers give them: uv_default_loop would be the main thread's, whichever thread asks.
const currentIsolate: () => unknown = node.func('void *_ZN2v87Isolate10GetCurrentEv()');
const loopOf: (isolate: unknown) => number = node.func('uintptr_t _ZN4node19GetCurrentEventLoopEPN2v87IsolateE(void *isolate)');
const backendFd: (loop: number) => number = node.func('int uv_backend_fd(uintptr_t loop)');
const backendTimeout: (loop: number) => number = node.func('int uv_backend_timeout(uintptr_t loop)');
const updateTime: (loop: number) => void = node.func('void uv_update_time(uintptr_t loop)');

/** The libuv of the thread that makes it: what it waits for, as one of our own descriptors. */
export class Libuv {
  readonly #loop = loopOf(currentIsolate());

  /** Readable when one of libuv's own descriptors is. */
  get fd(): number {
    return backendFd(this.#loop);
  }

  /** Milliseconds until its next timer is due; -1: it has none, 0: it has something to do now. */
  get timeoutMs(): number {
    return backendTimeout(this.#loop);
  }

  /** After a wait of ours: libuv knows the time of its last turn only, and its timers seem as far off as they were then. */
  updateTime(): void {
    updateTime(this.#loop);
  }
}
