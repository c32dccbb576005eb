import { constants } from 'node:os';
import koffi from 'koffi';

/** The C library calls that Node.js does not offer. Loaded once; each returns -1 and sets errno on failure. */
const libc = koffi.load('libc.so.6');

/** setns(2). */
export const setns: (fd: number, kind: number) => number = libc.func('int setns(int fd, int kind)');
/** unshare(2). */
export const unshare: (kinds: number) => number = libc.func('int unshare(int kinds)');
/** syscall(2), for calls that older C libraries have no function for. */
export const syscall: (number: number, ...args: [number | bigint, number | bigint, number | bigint]) => number = libc.func(
  'long syscall(long number, unsigned long a, unsigned long b, unsigned long c)',
);
koffi.struct('sock_fprog', { len: 'uint16', filter: 'void *' });
/** seccomp(2), by its number. */
export const seccomp: (number: number, operation: number, flags: number, program: { len: number; filter: Buffer }) => number =
  libc.func('long syscall(long number, unsigned int operation, unsigned int flags, const sock_fprog *program)');
/** madvise(2), of memory that is no buffer of ours. */
export const madvise: (at: number, bytes: number, advice: number) => number = libc.func(
  'int madvise(uintptr_t at, size_t bytes, int advice)',
);
/** tcgetpgrp(3): the process group in the foreground of a terminal. */
export const tcgetpgrp: (fd: number) => number = libc.func('int tcgetpgrp(int fd)');
/** tcsetpgrp(3). */
export const tcsetpgrp: (fd: number, group: number) => number = libc.func('int tcsetpgrp(int fd, int group)');
/** getpgrp(2): the own process group. */
export const getpgrp: () => number = libc.func('int getpgrp()');
/** signal(2); 1 ignores the signal. */
export const signal: (number: number, action: number) => number = libc.func('intptr_t signal(int number, intptr_t action)');
/** sigprocmask(2), of the calling thread; both sets have 128 bytes, null: not asked for. */
export const sigprocmask: (how: number, set: Buffer, former: Buffer | null) => number = libc.func(
  'int sigprocmask(int how, const void *set, void *former)',
);
/** socket(2): a file descriptor. */
export const socket: (family: number, type: number, protocol: number) => number = libc.func(
  'int socket(int family, int type, int protocol)',
);
/** bind(2). */
export const bind: (fd: number, address: Buffer, length: number) => number = libc.func(
  'int bind(int fd, const void *address, uint32_t length)',
);
/** fcntl(2), for commands that take a number. */
export const fcntl: (fd: number, command: number, value: number) => number = libc.func(
  'int fcntl(int fd, int command, int value)',
);
/** listen(2). */
export const listen: (fd: number, backlog: number) => number = libc.func('int listen(int fd, int backlog)');
/** getsockname(2). */
export const getsockname: (fd: number, address: Buffer, length: Buffer) => number = libc.func(
  'int getsockname(int fd, void *address, void *length)',
);
/** setsockopt(2). */
export const setsockopt: (fd: number, level: number, name: number, value: Buffer, length: number) => number = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
/** getsockopt(2). */
export const getsockopt: (fd: number, level: number, name: number, value: Buffer, length: Buffer) => number = libc.func(
  'int getsockopt(int fd, int level, int name, void *value, void *length)',
);
/** if_nametoindex(3), in the calling thread's network namespace: 0 when there is no such interface. */
export const interfaceIndex: (name: string) => number = libc.func('uint32_t if_nametoindex(const char *name)');
/** if_indextoname(3): null when there is no such interface. `name` has 16 bytes. */
export const interfaceName: (index: number, name: Buffer) => unknown = libc.func(
  'void *if_indextoname(uint32_t index, void *name)',
);
/** send(2): bytes sent. */
export const send: (fd: number, data: Buffer, length: number, flags: number) => bigint = libc.func(
  'int64_t send(int fd, const void *data, uint64_t length, int flags)',
);
/** recv(2): bytes received. */
export const recv: (fd: number, data: Buffer, length: number, flags: number) => bigint = libc.func(
  'int64_t recv(int fd, void *data, uint64_t length, int flags)',
);
/** pipe2(2): two descriptors, one to read from and one to write to. */
export const pipe2: (ends: Buffer, flags: number) => number = libc.func('int pipe2(void *ends, int flags)');
/** splice(2): bytes moved. */
export const splice: (from: number, at: null, into: number, there: null, length: number, flags: number) => bigint = libc.func(
  'int64_t splice(int from, void *at, int into, void *there, uint64_t length, unsigned int flags)',
);
/** flock(2). */
export const flock: (fd: number, operation: number) => number = libc.func('int flock(int fd, int operation)');
/** mount(2). */
export const mount: (source: string, target: string, type: string, flags: number, data: string | null) => number = libc.func(
  'int mount(const char *source, const char *target, const char *type, uint64_t flags, const char *data)',
);
/** umount2(2). */
export const umount2: (target: string, flags: number) => number = libc.func('int umount2(const char *target, int flags)');
/** malloc_trim(3): gives memory that was freed back to the kernel, except for `keep` bytes; 1 when there was some. */
export const mallocTrim: (keep: number) => number = libc.func('int malloc_trim(size_t keep)');

/** The calling thread's errno; read it right after the call that failed. */
export function errno(): number {
  return koffi.errno();
}

const NAMES = new Map(Object.entries(constants.errno).map(([name, code]) => [code, name]));

/** `ENOENT` for 2 or -2; `errno 9999` for an unknown number. */
export function errnoName(code: number): string {
  return NAMES.get(Math.abs(code)) ?? `errno ${code}`;
}

/** No such entry. */
export const ENOENT = constants.errno.ENOENT;

/** Errors that sockets have to tell apart. */
export const ERRNO = {
  interrupted: constants.errno.EINTR,
  again: constants.errno.EAGAIN,
  pipe: constants.errno.EPIPE,
  protocol: constants.errno.EPROTO,
  reset: constants.errno.ECONNRESET,
  timedOut: constants.errno.ETIMEDOUT,
  refused: constants.errno.ECONNREFUSED,
  inProgress: constants.errno.EINPROGRESS,
  notConnected: constants.errno.ENOTCONN,
  already: constants.errno.EALREADY,
} as const;
