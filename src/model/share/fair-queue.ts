/**
 * What several owners have waiting: whoever takes gets one of each owner in turn, in the order in which each owner's came. An owner
 * with a thousand in it holds up the one of another by one, not by a thousand.
 */
export class FairQueue<Item> {
  /** All that waits. */
  size = 0;
  /** Those with something waiting, the next one first. */
  readonly #owners = new Map<string, Item[]>();

  add(owner: string, item: Item): void {
    const waiting = this.#owners.get(owner);
    if (waiting === undefined) this.#owners.set(owner, [item]);
    else waiting.push(item);
    this.size++;
  }

  /** Null: nothing waits. */
  take(): Item | null {
    for (const [owner, waiting] of this.#owners) {
      const item = waiting.shift();
      this.#owners.delete(owner);
      if (item === undefined) continue;
      if (waiting.length > 0) this.#owners.set(owner, waiting);
      this.size--;
      return item;
    }
    return null;
  }
}
