import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import type { Clock } from '#model/effects/clock.ts';
import { TELEMETRY } from '#model/settings/telemetry.ts';
import { ERRNO, errno, errnoName, send } from '#platform/ffi/libc.ts';
import { isLogFile, roomMaker } from './log-file.ts';
import { countLeftOut, isFull, type Outlet, tellRoom } from './log-turns.ts';

/** Bounds of what waits, and for how long. */
export type BufferBounds = Pick<typeof TELEMETRY, 'logWaitMs' | 'logFullWaitMs' | 'logWaitBytesMax'>;

/** What a buffer is made of. `notice` is the line that tells how many were left out. */
export type LineBufferParts = { outlet: Outlet; clock: Clock; notice: (leftOut: number) => string; bounds?: BufferBounds };

/**
 * Lines on their way to a reader: many leave in one write, and none waits for long. A reader that is slow never holds up the
 * process that writes, nor makes it grow: what has no place is left out, counted, and told of as soon as there is place again.
 * A disk that is full is such a reader.
 */
export class LineBuffer {
  readonly #outlet: Outlet;
  readonly #clock: Clock;
  readonly #notice: (leftOut: number) => string;
  readonly #bounds: BufferBounds;
  #bytes = Buffer.allocUnsafeSlow(TELEMETRY.logRoomBytes);
  /** What waits lies from here … */
  #from = 0;
  /** … to here. */
  #to = 0;
  /** A write has left something, and the timer tries again: a reader that stands still must not cost a call for each line. */
  #isStuck = false;
  /** Nothing was taken for want of room on the disk. */
  #isFull = false;
  #leftOut = 0;
  #isArmed = false;

  constructor({ outlet, clock, notice, bounds = TELEMETRY }: LineBufferParts) {
    this.#outlet = outlet;
    this.#clock = clock;
    this.#notice = notice;
    this.#bounds = bounds;
  }

  /** Takes a line with its newline: a text, or the first `length` bytes of what is lent. */
  write(given: string | Uint8Array, bytes?: number): void {
    const line = typeof given === 'string' ? Buffer.from(given) : given;
    const length = bytes ?? line.length;
    if (this.#to - this.#from + length > this.#bounds.logWaitBytesMax) {
      this.#leftOut++;
      countLeftOut();
      return;
    }
    this.#add(line, length);
    if (this.#to - this.#from >= TELEMETRY.logBatchBytes && !this.#isStuck) this.flush();
    else this.#arm();
  }

  /** Writes what the reader takes now. What it does not take is tried again later. */
  flush(): void {
    if (this.#leftOut > 0 && this.#to - this.#from <= this.#bounds.logWaitBytesMax / 2) this.#tell();
    if (this.#to > this.#from) this.#from += this.#take(this.#bytes.subarray(this.#from, this.#to));
    this.#isStuck = this.#from < this.#to;
    if (!this.#isStuck) this.#empty();
    if (this.#isStuck || this.#leftOut > 0) this.#arm();
  }

  #add(line: Uint8Array, length: number): void {
    if (this.#to + length > this.#bytes.length) this.#makeRoom(length);
    this.#bytes.set(length === line.length ? line : line.subarray(0, length), this.#to);
    this.#to += length;
  }

  #makeRoom(length: number): void {
    const waiting = this.#to - this.#from;
    const former = this.#bytes;
    if (waiting + length > former.length) this.#bytes = Buffer.allocUnsafeSlow(Math.max(former.length * 2, waiting + length));
    former.copy(this.#bytes, 0, this.#from, this.#to);
    this.#from = 0;
    this.#to = waiting;
  }

  #empty(): void {
    this.#from = 0;
    this.#to = 0;
    if (this.#bytes.length > TELEMETRY.logKeptRoomBytes) this.#bytes = Buffer.allocUnsafeSlow(TELEMETRY.logRoomBytes);
  }

  /** How many bytes the reader took. A reader that is gone takes all: nobody will ever read them. A full disk may have room again. */
  #take(bytes: Uint8Array): number {
    try {
      const taken = this.#outlet(bytes);
      if (taken > 0) this.#found(false);
      return taken;
    } catch (error) {
      if (!isFull(error)) return bytes.length;
      this.#found(true);
      return 0;
    }
  }

  #found(full: boolean): void {
    this.#isFull = full;
    tellRoom(!full);
  }

  #tell(): void {
    const notice = Buffer.from(this.#notice(this.#leftOut));
    this.#add(notice, notice.length);
    this.#leftOut = 0;
  }

  #arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    const { logWaitMs, logFullWaitMs } = this.#bounds;
    this.#clock.after(this.#isFull ? logFullWaitMs : logWaitMs, () => {
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
