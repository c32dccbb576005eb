import { brokenBy, HEADROOM_BYTES, type StreamOver } from '#model/effects/byte-stream.ts';
import { IO } from '#model/settings/io.ts';
import { errnoName } from '#platform/ffi/libc.ts';
import type { Memory } from '#platform/ffi/memory.ts';
import type { Syscalls } from '#platform/ffi/syscalls.ts';

/** How bytes get into and out of a descriptor. Each gives a count, or a negative errno; -EAGAIN: not now, an event will tell. */
export type Channel = {
  /** 0: the peer ended its direction. */
  receive(memory: Memory, offset: number, bytes: number): number;
  send(memory: Memory, offset: number, bytes: number): number;
  sendFrom(buffer: Buffer, start: number, end: number): number;
  /** Bytes taken by these that wait for the kernel all the same. */
  readonly unsent: number;
  /** Sends them. 0: all, or a negative errno. */
  flush(): number;
  /** Bytes are at hand of which no event will tell. */
  hasMore(): boolean;
  /** After so many bytes in one turn more are likely to be had at once. */
  readsOn(bytes: number): boolean;
  /** Several sends follow, and are to leave as one; until `false`. 0, or the negative errno of the one. */
  gather(on: boolean): number;
  /** Ends our direction; all that was sent is sent. */
  finish(): number;
  /** Who closes the descriptor need not do so before: the peer learns the same. */
  readonly endsByClosing: boolean;
  /** How a stream ends that got this negative errno. */
  broken(result: number): StreamOver;
  /** It was broken off by us with an alert, which is no end and which the peer is to hear. */
  readonly hasLastWord: boolean;
  /** Before the descriptor is closed; nothing is called afterwards. */
  free(): void;
};

/**
 * With its frame's head what is read fills records of TLS to the last, and is as much as the other end reads at once: a few bytes more
 * would cost a record, a frame and a write of their own, and a copy of what comes after them.
 */
const PLAIN_READ_BYTES = IO.readBytes - HEADROOM_BYTES;

/** The bytes of a TCP socket, as they are. */
export class PlainChannel implements Channel {
  readonly #calls: Syscalls;
  readonly #fd: number;

  constructor(calls: Syscalls, fd: number) {
    this.#calls = calls;
    this.#fd = fd;
  }

  receive(memory: Memory, offset: number, bytes: number): number {
    return this.#calls.recv(this.#fd, memory, offset, Math.min(bytes, PLAIN_READ_BYTES));
  }

  send(memory: Memory, offset: number, bytes: number): number {
    return this.#calls.send(this.#fd, memory, offset, bytes);
  }

  sendFrom(buffer: Buffer, start: number, end: number): number {
    return this.#calls.sendFrom(this.#fd, buffer, start, end);
  }

  readonly unsent = 0;

  flush(): number {
    return 0;
  }

  hasMore(): boolean {
    return false;
  }

  readsOn(): boolean {
    return false;
  }

  gather(): number {
    return 0;
  }

  finish(): number {
    return this.#calls.shutdownWrite(this.#fd);
  }

  readonly endsByClosing = true;

  broken(result: number): StreamOver {
    return brokenBy(errnoName(-result));
  }

  readonly hasLastWord = false;

  free(): void {}
}
