/**
 * Several names for a key, in the order in which they came. One alone, which is all that most keys have, is kept as it is: a set around
 * it takes 250 bytes, of which a mesh of 100,000 workloads would have as many.
 */
export class MultiMap<Key> {
  readonly #named = new Map<Key, string | Set<string>>();

  /** Nothing where there is none. */
  of(key: Key): Iterable<string> {
    const named = this.#named.get(key);
    if (named === undefined) return NONE;
    return typeof named === 'string' ? [named] : named;
  }

  has(key: Key): boolean {
    return this.#named.has(key);
  }

  add(key: Key, name: string): void {
    const named = this.#named.get(key);
    if (named === undefined) this.#named.set(key, name);
    else if (typeof named !== 'string') named.add(name);
    else if (named !== name) this.#named.set(key, new Set([named, name]));
  }

  remove(key: Key, name: string): void {
    const named = this.#named.get(key);
    if (named === name) this.#named.delete(key);
    if (named === undefined || typeof named === 'string') return;
    named.delete(name);
    const [left] = named;
    if (named.size === 1 && left !== undefined) this.#named.set(key, left);
  }
}

const NONE: readonly string[] = [];
