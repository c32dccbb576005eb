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

const NEWLINE = 0x0a;

/** Cells that the log's threads share: whose turn it is to write, and how many lines no reader was quick enough to take. */
const [TURN, LEFT_OUT] = [0, 1];
let shared = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));

/** What a thread of this process is given, so that its lines do not run into those of others: for `shareLog`. */
export function logShared(): SharedArrayBuffer {
  return shared.buffer as SharedArrayBuffer;
}

/** From here on this thread writes in turn with those of whom it got this. */
export function shareLog(memory: SharedArrayBuffer): void {
  shared = new Int32Array(memory);
}

/** Lines of this process's log that no reader was quick enough to take, in all of its threads. */
export function linesLeftOut(): number {
  return Atomics.load(shared, LEFT_OUT);
}

/** The process ends with what is left: a thread that was ended within a line does not go on with it. */
export function endTurns(): void {
  Atomics.store(shared, TURN, 0);
}

/**
 * An outlet for whole lines, of which several threads have one each to the same reader: a line that the reader took a part of is
 * ended before another thread writes. Whoever has to wait for that is told that the reader is not ready.
 */
export function turnTaking(outlet: Outlet): Outlet {
  let mine = false;
  const release = (): void => {
    mine = false;
    Atomics.store(shared, TURN, 0);
  };
  return (bytes) => {
    const isWithinLine = mine;
    if (!mine && Atomics.compareExchange(shared, TURN, 0, 1) !== 0) return 0;
    mine = true;
    try {
      const taken = outlet(bytes);
      if (taken === 0 ? !isWithinLine : bytes[taken - 1] === NEWLINE) release();
      return taken;
    } catch (error) {
      release();
      throw error;
    }
  };
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
  #bytes = Buffer.allocUnsafeSlow(TELEMETRY.logRoomBytes);
  /** What waits lies from here … */
  #from = 0;
  /** … to here. */
  #to = 0;
  /** A write has left something, and the timer tries again: a reader that stands still must not cost a call for each line. */
  #isStuck = false;
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
      Atomics.add(shared, LEFT_OUT, 1);
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

  /** How many bytes the reader took. A reader that is gone takes all: nobody will ever read them. */
  #take(bytes: Uint8Array): number {
    try {
      return this.#outlet(bytes);
    } catch {
      return bytes.length;
    }
  }

  #tell(): void {
    const notice = Buffer.from(this.#notice(this.#leftOut));
    this.#add(notice, notice.length);
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
