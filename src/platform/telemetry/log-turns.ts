/**
 * What the threads of a process share of its log: whose turn it is to write, what was left out, and whether there is room.
 */

/** Where bytes go at once or not at all: returns how many were taken, 0 when the reader is not ready. Errors: the reader is gone, or `isFull`. */
export type Outlet = (bytes: Uint8Array) => number;

const NEWLINE = 0x0a;

/** Cells: whose turn it is to write, how many lines found no place, and whether the last write found the disk full. */
const [TURN, LEFT_OUT, FULL] = [0, 1, 2];
let shared = new Int32Array(new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT));

/** What a thread of this process is given, so that its lines do not run into those of others: for `shareLog`. */
export function logShared(): SharedArrayBuffer {
  return shared.buffer as SharedArrayBuffer;
}

/** From here on this thread writes in turn with those of whom it got this. */
export function shareLog(memory: SharedArrayBuffer): void {
  shared = new Int32Array(memory);
}

/** A line found no place. */
export function countLeftOut(): void {
  Atomics.add(shared, LEFT_OUT, 1);
}

/** Lines of this process's log that no reader was quick enough to take, or no disk had room for, in all of its threads. */
export function linesLeftOut(): number {
  return Atomics.load(shared, LEFT_OUT);
}

/** Whether there was room for what was written last. */
export function tellRoom(hasRoom: boolean): void {
  Atomics.store(shared, FULL, hasRoom ? 0 : 1);
}

/** Whether lines of this process's log wait for room on its disk. */
export function logIsFull(): boolean {
  return Atomics.load(shared, FULL) === 1;
}

/** For a status: a sentence while the log has no room. */
export function logComplaint(): string[] {
  if (!logIsFull()) return [];
  return ['the disk of its log is full: its lines wait, and are left out when too many do; make room where the log lies (df -h)'];
}

/** Whether a write failed for want of room, which comes back. Others that fail have nobody left who reads. */
export function isFull(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ENOSPC' || code === 'EDQUOT';
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
      // On a full disk a line that was begun is ended first, once there is room: what came between would be lost in it.
      if (!isWithinLine || !isFull(error)) release();
      throw error;
    }
  };
}
