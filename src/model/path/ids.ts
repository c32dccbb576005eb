/** What is numbered; names of different kinds never meet. */
export type IdKind = 'workload' | 'frontend' | 'waypoint';

/**
 * Small numbers for names, as the kernel's keys. A number is never given twice in the life of the pinned maps:
 * an agent that adopts them continues after the highest number in use.
 */
export class IdTable {
  readonly #ids = new Map<string, number>();
  readonly #names = new Map<number, string>();
  #last: number;

  constructor(last = 0) {
    this.#last = last;
  }

  /** The highest number given so far. */
  get last(): number {
    return this.#last;
  }

  of(kind: IdKind, name: string): number {
    const key = `${kind}:${name}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    this.#last++;
    this.#remember(key, this.#last);
    return this.#last;
  }

  /** The number of a name; null when it has none. */
  find(kind: IdKind, name: string): number | null {
    return this.#ids.get(`${kind}:${name}`) ?? null;
  }

  /** A fresh number for a name that may have had one: what comes again under an old name is somebody else. */
  renew(kind: IdKind, name: string): number {
    this.forget(kind, name);
    return this.of(kind, name);
  }

  /** Name of an id, without its kind; null when unknown. */
  nameOf(id: number): string | null {
    const key = this.#names.get(id);
    return key === undefined ? null : key.slice(key.indexOf(':') + 1);
  }

  /** Takes over a number that a former agent gave. */
  restore(kind: IdKind, name: string, id: number): void {
    this.#remember(`${kind}:${name}`, id);
    this.#last = Math.max(this.#last, id);
  }

  forget(kind: IdKind, name: string): void {
    const id = this.#ids.get(`${kind}:${name}`);
    if (id === undefined) return;
    this.#ids.delete(`${kind}:${name}`);
    this.#names.delete(id);
  }

  #remember(key: string, id: number): void {
    this.#ids.set(key, id);
    this.#names.set(id, key);
  }
}
