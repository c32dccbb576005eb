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
 * Sockets that another process of root's still holds in the namespaces of workloads. Each can be taken once; it is the same socket
 * then in both processes, with whatever waits in it.
 */
export class HandedSockets {
  /** -1: there is no such process, or nothing is taken from it any more. */
  #pidFd: number;
  readonly #left = new Map<string, number>();

  /** Null: nobody has handed over anything. */
  constructor(handover: Handover | null) {
    this.#pidFd = handover === null ? -1 : syscall(SYS_PIDFD_OPEN, handover.pid, 0, 0);
    for (const { fd, ...which } of handover?.sockets ?? []) this.#left.set(keyOf(which), fd);
  }

  /** A descriptor of the socket, which is the caller's; null: it was not handed over, or its process has ended. */
  take(which: Which): number | null {
    const key = keyOf(which);
    const theirs = this.#left.get(key);
    if (theirs === undefined || this.#pidFd < 0) return null;
    this.#left.delete(key);
    const fd = syscall(SYS_PIDFD_GETFD, this.#pidFd, theirs, 0);
    return fd < 0 ? null : fd;
  }

  /** Nothing is taken any more. */
  close(): void {
    if (this.#pidFd >= 0) closeSync(this.#pidFd);
    this.#pidFd = -1;
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
