import { HEADER, type HeaderId } from '#protocol/http/header-names.ts';

/**
 * The headers of one message: those received, minus the dropped, plus the added.
 * The received ones stay in their codec's own form (bytes for HTTP/1, strings for HTTP/2);
 * strings are made only for what somebody asks. Names are always in lower case here.
 */
export abstract class HeaderBlock {
  /** Added headers: name, value, name, value, … as far as `#addedCount` says; emptying an array would be a call into the engine. */
  readonly #added: string[] = [];
  #addedCount = 0;

  /** How many headers were received, dropped ones included. */
  abstract receivedCount(): number;
  abstract isDropped(index: number): boolean;
  abstract drop(index: number): void;
  abstract idAt(index: number): HeaderId;
  abstract nameAt(index: number): string;
  abstract valueAt(index: number): string;
  /** Whether the name at `index` is `name`, without making a string. */
  abstract hasNameAt(index: number, name: string): boolean;

  /** How many headers were added. */
  addedCount(): number {
    return this.#addedCount;
  }

  addedNameAt(index: number): string {
    return this.#added[index * 2] ?? '';
  }

  addedValueAt(index: number): string {
    return this.#added[index * 2 + 1] ?? '';
  }

  /** For the next message. */
  protected forgetAdded(): void {
    this.#addedCount = 0;
  }

  /** The first value; null when there is none. */
  get(name: string): string | null {
    for (let index = 0; index < this.receivedCount(); index++) {
      if (!this.isDropped(index) && this.hasNameAt(index, name)) return this.valueAt(index);
    }
    for (let at = 0; at < this.#addedCount; at++) if (this.addedNameAt(at) === name) return this.addedValueAt(at);
    return null;
  }

  /** Every value, in order. */
  values(name: string): string[] {
    const values: string[] = [];
    for (let index = 0; index < this.receivedCount(); index++) {
      if (!this.isDropped(index) && this.hasNameAt(index, name)) values.push(this.valueAt(index));
    }
    for (let at = 0; at < this.#addedCount; at++) if (this.addedNameAt(at) === name) values.push(this.addedValueAt(at));
    return values;
  }

  /** The first value of a header known by id; null when there is none. Not for `other`. */
  getById(id: HeaderId): string | null {
    const index = this.indexOf(id);
    return index < 0 ? null : this.valueAt(index);
  }

  /** Where the first header known by id stands among those received; -1 when it does not. */
  indexOf(id: HeaderId): number {
    for (let index = 0; index < this.receivedCount(); index++) {
      if (this.idAt(index) === id && !this.isDropped(index)) return index;
    }
    return -1;
  }

  /** Drops every received header known by id. */
  dropId(id: HeaderId): void {
    for (let index = 0; index < this.receivedCount(); index++) if (this.idAt(index) === id) this.drop(index);
  }

  add(name: string, value: string): void {
    const at = this.#addedCount++ * 2;
    this.#added[at] = name;
    this.#added[at + 1] = value;
  }

  /** Replaces every value of `name` by one. */
  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  remove(name: string): void {
    for (let index = 0; index < this.receivedCount(); index++) if (this.hasNameAt(index, name)) this.drop(index);
    const count = this.#addedCount;
    this.#addedCount = 0;
    for (let at = 0; at < count; at++) if (this.addedNameAt(at) !== name) this.add(this.addedNameAt(at), this.addedValueAt(at));
  }

  /** Every header that is left, as name, value, name, value, … */
  toPairs(): string[] {
    const pairs: string[] = [];
    for (let index = 0; index < this.receivedCount(); index++) {
      if (!this.isDropped(index)) pairs.push(this.nameAt(index), this.valueAt(index));
    }
    for (let at = 0; at < this.#addedCount; at++) pairs.push(this.addedNameAt(at), this.addedValueAt(at));
    return pairs;
  }
}

/** Headers that arrived as strings (HTTP/2), or that we make ourselves. */
export class StringHeaders extends HeaderBlock {
  readonly #pairs: readonly string[];
  readonly #dropped: boolean[] = [];
  readonly #ids: HeaderId[];

  /** `pairs`: name, value, name, value, … with names in lower case; `idOf` recognises the names. */
  constructor(pairs: readonly string[], idOf: (name: string) => HeaderId = () => HEADER.other) {
    super();
    this.#pairs = pairs;
    this.#ids = pairs.filter((_, at) => at % 2 === 0).map(idOf);
  }

  receivedCount(): number {
    return this.#ids.length;
  }

  isDropped(index: number): boolean {
    return this.#dropped[index] === true;
  }

  drop(index: number): void {
    this.#dropped[index] = true;
  }

  idAt(index: number): HeaderId {
    return this.#ids[index] ?? HEADER.other;
  }

  nameAt(index: number): string {
    return this.#pairs[index * 2] ?? '';
  }

  valueAt(index: number): string {
    return this.#pairs[index * 2 + 1] ?? '';
  }

  hasNameAt(index: number, name: string): boolean {
    return this.#pairs[index * 2] === name;
  }
}
