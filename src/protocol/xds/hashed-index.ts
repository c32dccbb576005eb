/** Fixed by FNV-1a. */
const OFFSET = 0x811c9dc5;
const PRIME = 0x01000193;

const SIZE_MIN = 1_024;
/** Of the cells that may be in use before there are twice as many: beyond it ways become long. */
const LOAD_MAX = 0.6;
const FREE = 0;
/** Was in use: a search goes on behind it. */
const GONE = -1;

/**
 * Finds small integers by words without keeping the words: 8 bytes for each in place of some 200. Two words may have the same hash,
 * so what is found is a candidate, to be checked by who asks.
 */
export class HashedIndex {
  #hashes = new Int32Array(SIZE_MIN);
  /** The integer and one; see FREE and GONE. */
  #values = new Int32Array(SIZE_MIN);
  /** Cells that are not FREE. */
  #used = 0;
  #size = 0;

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** `value`: from 0 on; once for each time it is added. */
  add(word: string, value: number): void {
    if (this.#used + 1 > this.#values.length * LOAD_MAX) this.#rebuild();
    this.#put(hashOf(word), value + 1);
    this.#size += 1;
  }

  /** Whether it was there. */
  remove(word: string, value: number): boolean {
    const hash = hashOf(word);
    const mask = this.#values.length - 1;
    for (let at = hash & mask; this.#values[at] !== FREE; at = (at + 1) & mask) {
      if (this.#hashes[at] !== hash || this.#values[at] !== value + 1) continue;
      this.#values[at] = GONE;
      this.#size -= 1;
      return true;
    }
    return false;
  }

  /** What was added under the word, and maybe under others. */
  at(word: string): number[] {
    const hash = hashOf(word);
    const mask = this.#values.length - 1;
    const found: number[] = [];
    for (let at = hash & mask; this.#values[at] !== FREE; at = (at + 1) & mask) {
      const value = this.#values[at] ?? GONE;
      if (this.#hashes[at] === hash && value !== GONE) found.push(value - 1);
    }
    return found;
  }

  #put(hash: number, value: number): void {
    const mask = this.#values.length - 1;
    let at = hash & mask;
    while (this.#values[at] !== FREE) at = (at + 1) & mask;
    this.#hashes[at] = hash;
    this.#values[at] = value;
    this.#used += 1;
  }

  /** Without what is gone, and with room for as much again. */
  #rebuild(): void {
    const [hashes, values] = [this.#hashes, this.#values];
    const size = 2 ** Math.ceil(Math.log2(Math.max(SIZE_MIN, (2 * (this.#size + 1)) / LOAD_MAX)));
    this.#hashes = new Int32Array(size);
    this.#values = new Int32Array(size);
    this.#used = 0;
    for (let at = 0; at < values.length; at++) {
      const value = values[at] ?? FREE;
      if (value > 0) this.#put(hashes[at] ?? 0, value);
    }
  }
}

/** FNV-1a of the UTF-16 code units, with the last step of MurmurHash3 for its lower bits. */
function hashOf(word: string): number {
  let value = OFFSET;
  for (let at = 0; at < word.length; at++) value = Math.imul(value ^ word.charCodeAt(at), PRIME);
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}
