import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * Reads a log file that grows, and that loses its older half when it is full: then it goes on behind the last line that it has
 * given, which is the same as before.
 */
export class LogFollower {
  readonly #path: string;
  #read = 0;
  #rest = Buffer.alloc(0);
  #last: string | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  /** The whole lines that are new since it was asked last, and when the file was changed. Errors: those of the file. */
  next(): { lines: string[]; changedMs: number } {
    const file = openSync(this.#path, 'r');
    try {
      const { size, mtimeMs } = fstatSync(file);
      const wasCut = size < this.#read;
      if (wasCut) [this.#read, this.#rest] = [0, Buffer.alloc(0)];
      const bytes = Buffer.alloc(Math.max(0, size - this.#read));
      const count = readSync(file, bytes, 0, bytes.length, this.#read);
      this.#read += count;
      const all = Buffer.concat([this.#rest, bytes.subarray(0, count)]);
      const end = all.lastIndexOf(0x0a) + 1;
      this.#rest = all.subarray(end);
      const lines = end === 0 ? [] : all.toString('utf8', 0, end - 1).split('\n');
      const known = wasCut && this.#last !== null ? lines.lastIndexOf(this.#last) : -1;
      this.#last = lines.at(-1) ?? this.#last;
      return { lines: lines.slice(known + 1), changedMs: mtimeMs };
    } finally {
      closeSync(file);
    }
  }
}
