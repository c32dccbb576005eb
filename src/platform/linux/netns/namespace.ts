import { closeSync, openSync } from 'node:fs';
import { WeftError } from '#model/error.ts';
import { errno, errnoName, getsockopt, setns, socket } from '#platform/ffi/libc.ts';

const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 1 | 0o2000000;
const SOL_SOCKET = 1;
const SO_NETNS_COOKIE = 71;

let home: number | null = null;

/** Opens the namespace that this thread comes back to, which stays open: at its start, where what it holds is counted. */
export function rememberHome(): number {
  home ??= openSync('/proc/thread-self/ns/net', 'r');
  return home;
}

/**
 * Runs `action` with the calling thread inside the namespace `netnsFd`, then comes back.
 * `action` must be synchronous: no other JavaScript may run in between (E45).
 * Errors: WEFT_NETNS; if the way back fails the process aborts, since every later socket would be misplaced.
 */
export function inNamespace<T>(netnsFd: number, action: () => T): T {
  const way = rememberHome();
  if (setns(netnsFd, CLONE_NEWNET) !== 0) {
    throw new WeftError('WEFT_NETNS', `cannot enter a network namespace: ${errnoName(errno())}`, {
      remedy: 'run as root (CAP_SYS_ADMIN)',
    });
  }
  try {
    return action();
  } finally {
    if (setns(way, CLONE_NEWNET) !== 0) {
      process.stderr.write('weft: cannot return to the home network namespace\n');
      process.abort();
    }
  }
}

/** The kernel's never re-used number of a network namespace. Errors: WEFT_NETNS. */
export function namespaceCookie(netnsFd: number): bigint {
  const fd = inNamespace(netnsFd, () => socket(AF_INET, SOCK_STREAM_CLOEXEC, 0));
  if (fd < 0) throw new WeftError('WEFT_NETNS', `cannot make a socket in the namespace: ${errnoName(errno())}`);
  try {
    const value = Buffer.alloc(8);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(8);
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, value, length) !== 0) {
      throw new WeftError('WEFT_NETNS', `cannot read SO_NETNS_COOKIE: ${errnoName(errno())}`, {
        remedy: 'Linux 5.14 or newer is needed',
      });
    }
    return value.readBigUInt64LE();
  } finally {
    closeSync(fd);
  }
}
