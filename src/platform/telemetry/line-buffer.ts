import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Clock } from '#model/effects/clock.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { ERRNO, errno, errnoName, send } from '#platform/ffi/libc.ts';
import { isLogFile, roomMaker } from './log-file.ts';

/** Where bytes go at once or not at all: returns how many were taken, 0 when the reader is not ready. Errors: the reader is gone. */
export type Outlet = (bytes: Uint8Array) => number;

/** Bounds of what waits, and for how long. */
export type BufferBounds = Pick<typeof TELEMETRY, 'logWaitMs' | 'logWaitBytesMax'>;

/** What a buffer is made of. `notice` is the line that tells how many were left out. */
export type LineBufferParts = { outlet: Outlet; clock: Clock; notice: (leftOut: number) => string; bounds?: BufferBounds };

/** So much is written before its time is over: a pipe takes 64 KiB without its reader. */
const BATCH_CHARS = 32_768;

let leftOutSoFar = 0;

/** Lines of this process's log that no reader was quick enough to take. */
export function linesLeftOut(): number {
  return leftOutSoFar;
}

/**
 * Lines on their way to a reader: many leave in one write, and none waits for long. A reader that is slow never holds up the
 * process that writes, nor makes it grow: what has no place is left out, counted, and told of as soon as there is place again.
 */
export class LineBuffer {
  readonly #outlet: Outlet;
  readonly #clock: Clock;
  readonly #notice: (leftOut: number) => string;
  readonly #bounds: BufferBounds;
  #text = '';
  /** What a write did not take; it goes before `#text`. */
  #rest: Uint8Array = new Uint8Array(0);
  #leftOut = 0;
  #isArmed = false;

  constructor({ outlet, clock, notice, bounds = TELEMETRY }: LineBufferParts) {
    this.#outlet = outlet;
    this.#clock = clock;
    this.#notice = notice;
    this.#bounds = bounds;
  }

  /** Takes a line with its newline. */
  write(line: string): void {
    if (this.#rest.length + this.#text.length + line.length > this.#bounds.logWaitBytesMax) {
      this.#leftOut++;
      leftOutSoFar++;
      return;
    }
    this.#text += line;
    // Once something was refused only the timer tries again: a reader that stands still must not cost a call for each line.
    if (this.#text.length >= BATCH_CHARS && this.#rest.length === 0) this.flush();
    else this.#arm();
  }

  /** Writes what the reader takes now. What it does not take is tried again later. */
  flush(): void {
    if (this.#leftOut > 0 && this.#rest.length + this.#text.length <= this.#bounds.logWaitBytesMax / 2) this.#tell();
    let bytes = this.#rest;
    if (this.#text !== '') {
      const fresh = Buffer.from(this.#text);
      bytes = bytes.length === 0 ? fresh : Buffer.concat([bytes, fresh]);
      this.#text = '';
    }
    this.#rest = bytes.length === 0 ? bytes : bytes.subarray(this.#take(bytes));
    if (this.#rest.length > 0 || this.#leftOut > 0) this.#arm();
  }

  /** How many bytes the reader took. A reader that is gone takes all: nobody will ever read them. */
  #take(bytes: Uint8Array): number {
    try {
      return this.#outlet(bytes);
    } catch {
      return bytes.length;
    }
  }

  #tell(): void {
    this.#text += this.#notice(this.#leftOut);
    this.#leftOut = 0;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#clock.after(this.#bounds.logWaitMs, () => {
      this.#isArmed = false;
      this.flush();
    });
  }
}

/**
 * The outlet to a descriptor, standard error say, that never waits for a reader. A pipe and a terminal are opened once more,
 * so that not waiting is a property of ours alone: a descriptor that was inherited is shared with the shell and its programs,
 * each of which may change what it is. A socket, the journal's say, cannot be opened again, and is told with each write.
 * A file has no reader to wait for, but an end: it stays below `fileBytesMax` when it is of our own making.
 */
export function outletTo(descriptor: number, fileBytesMax: number = TELEMETRY.logFileBytesMax): Outlet {
  if (isSocket(descriptor)) return (bytes) => sendNow(descriptor, bytes);
  const own = reopened(descriptor);
  const makeRoom = isLogFile(own) ? roomMaker(own, fileBytesMax) : () => {};
  return (bytes) => {
    try {
      makeRoom(bytes.length);
      return writeSync(own, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      throw error;
    }
  };
}

function reopened(descriptor: number): number {
  try {
    const kind = fstatSync(descriptor);
    if (!kind.isFIFO() && !kind.isCharacterDevice()) return descriptor;
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return descriptor; // another user's pipe, or no /proc here
  }
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false; // it is closed: the first write says so
  }
}

/** Fixed by Linux: MSG_DONTWAIT and MSG_NOSIGNAL. */
const NOW = 0x40 | 0x4000;

function sendNow(descriptor: number, bytes: Uint8Array): number {
  const sent = Number(send(descriptor, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length, NOW));
  if (sent >= 0) return sent;
  const code = errno();
  if (code === ERRNO.again || code === ERRNO.interrupted) return 0;
  throw new Error(`the log's socket: ${errnoName(code)}`);
}
