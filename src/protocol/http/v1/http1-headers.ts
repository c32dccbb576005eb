import { HTTP } from '#model/settings/http.ts';
import { COLON, CR, FIELD_VALUE, LF, SPACE, TAB, TOKEN, textOf } from '#protocol/http/characters.ts';
import { HeaderBlock } from '#protocol/http/header-block.ts';
import { classifyHeader, equalsIgnoringCase, HEADER, type HeaderId } from '#protocol/http/header-names.ts';
import { isAuthority } from '#protocol/http/target.ts';

/** Whether the field lines could be read. */
export type FieldsResult = 'ok' | 'too-many' | 'invalid';

/** Numbers per header: name start, name end, value start, value end, id. */
const STRIDE = 5;
const DROPPED = -1;
const NOTHING = Buffer.alloc(0);

/**
 * The headers of one HTTP/1 message as places in its bytes. One object serves all messages of a connection in
 * turn: `parse` starts it anew, so nobody may hold on to it past the message.
 */
export class Http1Headers extends HeaderBlock {
  #bytes: Buffer = NOTHING;
  /** An array of numbers: a typed one of this size has memory outside of the heap, which costs more than a short connection. */
  readonly #places: number[] = [];
  #count = 0;
  /** The ids, as `keep` found them. */
  readonly #kept: number[] = [];
  /** That of the message before; '': none. */
  #authority = '';

  /** Reads the field lines in `bytes[from, end)`; each ends with CRLF, `end` is just after the last. */
  parse(bytes: Buffer, from: number, end: number): FieldsResult {
    this.#bytes = bytes;
    this.#count = 0;
    this.forgetAdded();
    let at = from;
    while (at < end) {
      if (this.#count === HTTP.headersMax) return 'too-many';
      at = this.#parseLine(bytes, at);
      if (at < 0) return 'invalid';
    }
    return 'ok';
  }

  /** Whoever reads the head has taken out what is not to be passed on: from here the same bytes could begin anew. */
  keep(): void {
    for (let index = 0; index < this.#count; index++) this.#kept[index] = this.#places[index * STRIDE + 4] ?? DROPPED;
  }

  /** The message that was kept once more, in the same bytes at the same place. */
  again(): void {
    for (let index = 0; index < this.#count; index++) this.#places[index * STRIDE + 4] = this.#kept[index] ?? DROPPED;
    this.forgetAdded();
  }

  receivedCount(): number {
    return this.#count;
  }

  isDropped(index: number): boolean {
    return this.#places[index * STRIDE + 4] === DROPPED;
  }

  drop(index: number): void {
    this.#places[index * STRIDE + 4] = DROPPED;
  }

  idAt(index: number): HeaderId {
    const id = this.#places[index * STRIDE + 4] ?? DROPPED;
    return id === DROPPED ? HEADER.other : (id as HeaderId);
  }

  nameAt(index: number): string {
    return textOf(this.#bytes, this.nameStart(index), this.nameEnd(index)).toLowerCase();
  }

  valueAt(index: number): string {
    return textOf(this.#bytes, this.valueStart(index), this.valueEnd(index));
  }

  hasNameAt(index: number, name: string): boolean {
    const start = this.nameStart(index);
    return this.nameEnd(index) - start === name.length && equalsIgnoringCase(this.#bytes, start, name);
  }

  /** Whether the value at `index` is `lower`, ignoring case, without making a string. */
  hasValueAt(index: number, lower: string): boolean {
    const start = this.valueStart(index);
    return this.valueEnd(index) - start === lower.length && equalsIgnoringCase(this.#bytes, start, lower);
  }

  /** The value at `index` if it is an authority; null: it is none. The requests of one connection nearly always name the same. */
  authorityAt(index: number): string | null {
    const start = this.valueStart(index);
    if (this.#authority === '' || this.valueEnd(index) - start !== this.#authority.length || !this.#isAuthorityAt(start)) {
      const value = this.valueAt(index);
      if (!isAuthority(value)) return null;
      this.#authority = value;
    }
    return this.#authority;
  }

  #isAuthorityAt(start: number): boolean {
    const known = this.#authority;
    for (let at = 0; at < known.length; at++) if (this.#bytes[start + at] !== known.charCodeAt(at)) return false;
    return true;
  }

  bytes(): Buffer {
    return this.#bytes;
  }

  nameStart(index: number): number {
    return this.#places[index * STRIDE] ?? 0;
  }

  nameEnd(index: number): number {
    return this.#places[index * STRIDE + 1] ?? 0;
  }

  valueStart(index: number): number {
    return this.#places[index * STRIDE + 2] ?? 0;
  }

  valueEnd(index: number): number {
    return this.#places[index * STRIDE + 3] ?? 0;
  }

  /** Returns where the next line starts; -1 when this one is malformed (also obs-fold and space before the colon). */
  #parseLine(bytes: Buffer, lineStart: number): number {
    let at = lineStart;
    while (TOKEN[bytes[at] ?? 0] === 1) at++;
    const nameEnd = at;
    if (nameEnd === lineStart || bytes[at] !== COLON) return -1;
    at++;
    while (bytes[at] === SPACE || bytes[at] === TAB) at++;
    const valueStart = at;
    while (FIELD_VALUE[bytes[at] ?? 0] === 1) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === TAB)) valueEnd--;
    this.#keep(lineStart, nameEnd, valueStart, valueEnd);
    return at + 2;
  }

  #keep(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const place = this.#count * STRIDE;
    const places = this.#places;
    places[place] = nameStart;
    places[place + 1] = nameEnd;
    places[place + 2] = valueStart;
    places[place + 3] = valueEnd;
    places[place + 4] = classifyHeader(this.#bytes, nameStart, nameEnd);
    this.#count++;
  }
}
