import { constants, fstatSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeDirectory } from '#platform/files/make-directory.ts';

const { O_APPEND, O_CREAT, O_RDWR } = constants;

/** What a full file says at its beginning. */
const CUT = 'older lines were cut off: the file was full\n';

/**
 * Opens a log for a process of the mesh: readable, so that the process can keep it small by the descriptor alone. A waypoint
 * sees no folder of logs and may not rename anything there. Several processes may append to it. Errors: those of the file.
 */
export function openLogFile(path: string): number {
  makeDirectory(dirname(path));
  return openSync(path, O_RDWR | O_APPEND | O_CREAT, 0o600);
}

/** Whether `openLogFile` made the descriptor. A file that a shell was told to write (`2>>file`) is the user's to keep small. */
export function isLogFile(descriptor: number): boolean {
  try {
    if (!fstatSync(descriptor).isFile()) return false;
    const [, flags = '0'] = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8')) ?? [];
    const wanted = O_RDWR | O_APPEND;
    return (Number.parseInt(flags, 8) & wanted) === wanted;
  } catch {
    return false;
  }
}

/** Called before so many bytes are appended: a file that they would make larger than `bytesMax` keeps its newest quarter. */
export function roomMaker(descriptor: number, bytesMax: number): (bytes: number) => void {
  let sizeAtMost = Number.POSITIVE_INFINITY; // as far as this process knows: others append, too
  let written = 0;
  return (bytes) => {
    written += bytes;
    if (sizeAtMost + bytes <= bytesMax && written < bytesMax / 16) {
      sizeAtMost += bytes;
      return;
    }
    written = bytes;
    const { size } = fstatSync(descriptor);
    sizeAtMost = (size + bytes > bytesMax ? shorten(descriptor, size, bytesMax) : size) + bytes;
  };
}

/** Keeps the newest lines. A quarter: what is kept is written once more, and half would double what a busy log costs. Returns the size now. */
function shorten(descriptor: number, size: number, bytesMax: number): number {
  const tail = Buffer.allocUnsafe(Math.min(size, Math.floor(bytesMax / 4)));
  const read = readSync(descriptor, tail, 0, tail.length, size - tail.length);
  const newline = tail.subarray(0, read).indexOf(0x0a);
  ftruncateSync(descriptor, 0);
  // A disk that is full has room again now.
  return writeSync(descriptor, CUT) + writeSync(descriptor, tail, newline + 1, read - newline - 1);
}
