/** Longest input a mutation makes. */
const INPUT_BYTES_MAX = 16 * 1024;
const MUTATIONS_MAX = 4;
const REPEATED_BYTES_MAX = 2_048;

/** Chance that can be begun anew at any run, so that a run is found again by its number (xorshift32). */
export class Chance {
  #state = 1;

  begin(seed: number, run: number): void {
    // Neighbouring runs begin far apart (the finalizer of MurmurHash3).
    let mixed = (seed ^ Math.imul(run + 1, 0x9e37_79b1)) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b) >>> 0;
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35) >>> 0;
    this.#state = (mixed ^ (mixed >>> 16)) >>> 0 || 1;
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state >>> 0;
    return limit === 0 ? 0 : this.#state % limit;
  }
}

/** Makes inputs close to seeds at a million a second: what a comparison costs is to be the comparison. */
export class Mutator {
  readonly #seeds: readonly Buffer[];
  readonly #tokens: readonly Buffer[];
  readonly #bytes = Buffer.alloc(2 * INPUT_BYTES_MAX);
  #length = 0;

  constructor(seeds: readonly Buffer[], tokens: readonly string[]) {
    this.#seeds = seeds.filter(({ length }) => length <= INPUT_BYTES_MAX / 2);
    this.#tokens = tokens.map((token) => Buffer.from(token, 'latin1'));
  }

  /** The next input, lent until the next call. */
  next(chance: Chance): Buffer {
    this.#length = 0;
    this.#put(this.#pick(this.#seeds, chance), 0);
    if (chance.below(4) === 0) this.#put(this.#pick(this.#seeds, chance), this.#length);
    for (let left = chance.below(MUTATIONS_MAX + 1); left > 0; left--) this.#mutate(chance);
    return this.#bytes.subarray(0, this.#length);
  }

  #pick(from: readonly Buffer[], chance: Chance): Buffer {
    return from[chance.below(from.length)] ?? Buffer.alloc(0);
  }

  #mutate(chance: Chance): void {
    const at = chance.below(this.#length + 1);
    switch (chance.below(7)) {
      case 0:
        this.#bytes[at] = (this.#bytes[at] ?? 0) ^ (1 << chance.below(8));
        break;
      case 1:
        this.#bytes[at] = chance.below(256);
        break;
      case 2:
      case 3:
      case 4:
        this.#put(this.#pick(this.#tokens, chance), at);
        break;
      case 5:
        this.#remove(at, 1 + chance.below(chance.below(8) === 0 ? 64 : 3));
        break;
      default:
        this.#repeat(at, 1 + chance.below(16), chance.below(16) === 0 ? 64 : 1);
    }
  }

  #put(piece: Buffer, at: number): void {
    if (this.#length + piece.length > INPUT_BYTES_MAX) return;
    this.#bytes.copyWithin(at + piece.length, at, this.#length);
    piece.copy(this.#bytes, at);
    this.#length += piece.length;
  }

  #remove(at: number, bytes: number): void {
    const removed = Math.min(bytes, this.#length - at);
    this.#bytes.copyWithin(at, at + removed, this.#length);
    this.#length -= removed;
  }

  #repeat(at: number, bytes: number, times: number): void {
    const piece = Buffer.from(this.#bytes.subarray(at, Math.min(at + bytes, this.#length)));
    if (piece.length * times > REPEATED_BYTES_MAX) return;
    for (let left = times; left > 0; left--) this.#put(piece, at);
  }
}
