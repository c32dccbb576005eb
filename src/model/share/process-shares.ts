import { hasRoom, type Leave, shareLimits } from './shares.ts';

/** Cells of the process as a whole; those of the holders follow. */
const TAKEN = 0;
const HOLDERS = 1;
const FIRST = 2;

/** Holders that are told apart; further ones have one share together. Fixed by their memory, 64 KiB. */
const SHARES_MAX = 16_384;

/** As Shares, in memory that all threads of a process have: each place is counted once, whichever of them takes it. */
export class ProcessShares {
  /** What another thread is given to count in the same. */
  readonly memory: SharedArrayBuffer;
  readonly capacity: number;
  readonly #cells: Int32Array;

  /** `capacity`: places there are. `memory`: that of the first of them. */
  constructor(
    capacity: number,
    memory: SharedArrayBuffer = new SharedArrayBuffer((FIRST + SHARES_MAX) * Int32Array.BYTES_PER_ELEMENT),
  ) {
    this.memory = memory;
    this.capacity = capacity;
    this.#cells = new Int32Array(memory);
  }

  /** Places taken now. */
  get size(): number {
    return Atomics.load(this.#cells, TAKEN);
  }

  /** Places that one has taken now. */
  heldBy(share: number): number {
    return Atomics.load(this.#cells, FIRST + share);
  }

  /** How many may come to hold some. */
  get holders(): number {
    return Atomics.load(this.#cells, HOLDERS);
  }

  set holders(count: number) {
    Atomics.store(this.#cells, HOLDERS, count);
  }

  /**
   * Takes a place; the result gives it back. Null: the holder has its share already, or there is none left at all. Counted
   * first and looked at then: two threads at once may both be refused the last place, and never both have it.
   */
  enter(share: number): Leave | null {
    const own = Atomics.add(this.#cells, FIRST + share, 1);
    const all = Atomics.add(this.#cells, TAKEN, 1);
    const limits = shareLimits(this.capacity, this.holders);
    let entered = true;
    const leave = (): void => {
      if (!entered) return;
      entered = false;
      Atomics.sub(this.#cells, FIRST + share, 1);
      Atomics.sub(this.#cells, TAKEN, 1);
    };
    if (all < this.capacity && hasRoom(own, all, limits)) return leave;
    leave();
    return null;
  }
}

/** Gives each holder a share of its own for as long as it holds or may come to hold something. */
export class ShareNumbers {
  readonly #shares: ProcessShares;
  readonly #free: number[] = [];
  #next = 1;

  constructor(shares: ProcessShares) {
    this.#shares = shares;
  }

  /** Nobody else's until it is given back. */
  take(): number {
    // What a former holder has not given back yet must not be counted as a new one's.
    const at = this.#free.findIndex((share) => this.#shares.heldBy(share) === 0);
    const [freed] = at < 0 ? [] : this.#free.splice(at, 1);
    return freed ?? (this.#next < SHARES_MAX ? this.#next++ : 0);
  }

  give(share: number): void {
    if (share !== 0) this.#free.push(share);
  }
}
