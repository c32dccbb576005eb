import { AGENT } from '#model/settings/agents.ts';

/** How much one may hold of what all share: `assured` always, and more while all together hold less than `open`. */
export type ShareLimits = { readonly assured: number; readonly open: number };

/**
 * How `capacity` places are shared by `holders`. What is assured and what is open are together less than the whole, so that
 * what is assured is there also after one has taken all that is open. bpf/lib/share.h goes by the same two numbers.
 */
export function shareLimits(capacity: number, holders: number): ShareLimits {
  const assured = Math.floor((capacity * AGENT.shareAssuredPercent) / 100 / Math.max(1, holders));
  return { assured: Math.max(1, assured), open: Math.floor((capacity * AGENT.shareOpenPercent) / 100) };
}

/** Whether one who holds `own` of the `all` that are taken has room for another. */
export function hasRoom(own: number, all: number, { assured, open }: ShareLimits): boolean {
  return own < assured || all < open;
}

/** Gives a place back; calling it again does nothing. */
export type Leave = () => void;

/** What a set of shares is made of. */
export type SharesOptions = {
  /** Places there are. */
  readonly capacity: number;
  /** How many may come to hold some, now. */
  holders(): number;
  /** However much is free, nobody holds more; without it there is no such bound. */
  readonly ownMax?: number;
};

/** Counts what runs at once by who makes it run, so that a full house refuses the one who filled it. */
export class Shares {
  readonly #options: SharesOptions;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(options: SharesOptions) {
    this.#options = options;
  }

  /** Places taken now. */
  get size(): number {
    return this.#total;
  }

  /** Places that one has taken now. */
  heldBy(holder: string): number {
    return this.#taken.get(holder) ?? 0;
  }

  /** Takes a place; the result gives it back. Null: the holder has its share already, or there is none left at all. */
  enter(holder: string): Leave | null {
    const { capacity, holders, ownMax = capacity } = this.#options;
    const own = this.heldBy(holder);
    if (own >= ownMax || this.#total >= capacity || !hasRoom(own, this.#total, shareLimits(capacity, holders()))) return null;
    this.#total++;
    this.#taken.set(holder, own + 1);
    let entered = true;
    return () => {
      if (!entered) return;
      entered = false;
      this.#leave(holder);
    };
  }

  #leave(holder: string): void {
    this.#total--;
    const left = this.heldBy(holder) - 1;
    if (left === 0) this.#taken.delete(holder);
    else this.#taken.set(holder, left);
  }
}
