/**
 * Several members under a key, each once. Of the most there is one alone, which then needs no set of its own: an empty `Set` of V8
 * takes some 200 bytes. Members are no sets themselves.
 */
export class MultiMap<Key, Member> {
  readonly #members = new Map<Key, Member | Set<Member>>();

  /** How many keys have members. */
  get size(): number {
    return this.#members.size;
  }

  keys(): Iterable<Key> {
    return this.#members.keys();
  }

  add(key: Key, member: Member): void {
    const known = this.#members.get(key);
    if (known === undefined) this.#members.set(key, member);
    else if (known instanceof Set) known.add(member);
    else if (known !== member) this.#members.set(key, new Set([known, member]));
  }

  /** A key goes with its last member, or those that come and go would fill the memory. Returns whether it did. */
  remove(key: Key, member: Member): boolean {
    const known = this.#members.get(key);
    if (known instanceof Set) {
      known.delete(member);
      if (known.size > 1) return false;
      // Never empty: a set is made of two, and goes when one is left.
      for (const last of known) this.#members.set(key, last);
      return false;
    }
    return known === member && this.#members.delete(key);
  }

  /** Members of a key, in the order in which they came. */
  at(key: Key): Iterable<Member> {
    const known = this.#members.get(key);
    if (known === undefined) return NONE;
    return known instanceof Set ? known : [known];
  }

  countAt(key: Key): number {
    const known = this.#members.get(key);
    if (known === undefined) return 0;
    return known instanceof Set ? known.size : 1;
  }

  /** The first that came of those that are there. */
  firstAt(key: Key): Member | undefined {
    const [first] = this.at(key);
    return first;
  }
}

const NONE: readonly never[] = [];
