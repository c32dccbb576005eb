import { isDeepStrictEqual } from 'node:util';

/** Derived values by key, which remembers those that really changed. */
export class OutputTable<Key extends string, Value> {
  readonly #values = new Map<Key, Value>();
  #changed = new Map<Key, Value | null>();

  /** Takes the new value (null: none). Whether it differs from the old one. */
  set(key: Key, value: Value | null): boolean {
    const before = this.#values.get(key) ?? null;
    if (isDeepStrictEqual(before, value)) return false;
    if (value === null) this.#values.delete(key);
    else this.#values.set(key, value);
    this.#changed.set(key, value);
    return true;
  }

  get(key: Key): Value | null {
    return this.#values.get(key) ?? null;
  }

  all(): ReadonlyMap<Key, Value> {
    return this.#values;
  }

  /** What changed since the last call. */
  takeChanges(): ReadonlyMap<Key, Value | null> {
    const changed = this.#changed;
    this.#changed = new Map();
    return changed;
  }
}
