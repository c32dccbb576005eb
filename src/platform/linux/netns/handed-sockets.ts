import { closeSync } from 'node:fs';
import { getsockopt, syscall } from '#platform/ffi/libc.ts';
import type { HandedSocket, Handover } from '#protocol/api/agent.ts';

/** The same on every architecture. */
const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const SOL_SOCKET = 1;
const SO_COOKIE = 57;

/** What tells a socket of a workload's namespace from the others of it. */
type Which = Omit<HandedSocket, 'fd'>;

/**
 * Sockets that another process of root's holds in the namespaces of workloads. Each can be taken once; it is the same socket then,
 * with whatever waits in it. They are all fetched at once: who takes them may come much later than the other process keeps them.
 */
export class HandedSockets {
  readonly #left = new Map<string, number>();

  /** Null: nobody has handed over anything. Of a process that has ended there is nothing. */
  constructor(handover: Handover | null) {
    const pidFd = handover === null ? -1 : syscall(SYS_PIDFD_OPEN, handover.pid, 0, 0);
    if (handover === null || pidFd < 0) return;
    for (const { fd: theirs, ...which } of handover.sockets) {
      const fd = syscall(SYS_PIDFD_GETFD, pidFd, theirs, 0);
      if (fd >= 0) this.#left.set(keyOf(which), fd);
    }
    closeSync(pidFd);
  }

  /** A descriptor of the socket, which is the caller's; null: it was not handed over, or could not be fetched. */
  take(which: Which): number | null {
    const key = keyOf(which);
    const fd = this.#left.get(key);
    this.#left.delete(key);
    return fd ?? null;
  }

  /** Nothing is taken any more; what is left ends, with what waits in it. */
  close(): void {
    for (const fd of this.#left.values()) closeSync(fd);
    this.#left.clear();
  }
}

function keyOf({ netnsCookie, transport, port }: Which): string {
  return `${netnsCookie}/${transport}/${port}`;
}

/** The kernel's number of a socket, never used again. */
export function socketCookie(fd: number): bigint {
  const value = Buffer.alloc(8);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(8);
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, value, length);
  return value.readBigUInt64LE();
}
