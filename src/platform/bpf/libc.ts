import koffi from 'koffi';

/** The C library calls that Node.js does not offer. Loaded once; each returns -1 and sets errno on failure. */
const libc = koffi.load('libc.so.6');

export const setns: (fd: number, kind: number) => number = libc.func('int setns(int fd, int kind)');
export const socket: (family: number, type: number, protocol: number) => number = libc.func(
  'int socket(int family, int type, int protocol)',
);
export const bind: (fd: number, address: Buffer, length: number) => number = libc.func(
  'int bind(int fd, const void *address, uint32_t length)',
);
export const getsockname: (fd: number, address: Buffer, length: Buffer) => number = libc.func(
  'int getsockname(int fd, void *address, void *length)',
);
export const setsockopt: (fd: number, level: number, name: number, value: Buffer, length: number) => number = libc.func(
  'int setsockopt(int fd, int level, int name, const void *value, uint32_t length)',
);
export const getsockopt: (fd: number, level: number, name: number, value: Buffer, length: Buffer) => number = libc.func(
  'int getsockopt(int fd, int level, int name, void *value, void *length)',
);
export const listen: (fd: number, backlog: number) => number = libc.func('int listen(int fd, int backlog)');
export const send: (fd: number, data: Buffer, length: number, flags: number) => bigint = libc.func(
  'int64_t send(int fd, const void *data, uint64_t length, int flags)',
);
export const recv: (fd: number, data: Buffer, length: number, flags: number) => bigint = libc.func(
  'int64_t recv(int fd, void *data, uint64_t length, int flags)',
);
export const close: (fd: number) => number = libc.func('int close(int fd)');
export const mount: (source: string, target: string, type: string, flags: number, data: string | null) => number = libc.func(
  'int mount(const char *source, const char *target, const char *type, uint64_t flags, const char *data)',
);
export const umount2: (target: string, flags: number) => number = libc.func('int umount2(const char *target, int flags)');

/** The calling thread's errno; read it right after the call that failed. */
export function errno(): number {
  return koffi.errno();
}
