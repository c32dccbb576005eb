import { HTTP } from '#model/settings/http.ts';
import { CR, LF } from '#protocol/http/characters.ts';

/** What is known of the head so far. */
export type HeadResult =
  /** A whole head lies in `bytes` from `start` to `end`, its last empty line included; what follows it begins at `next`. */
  | 'complete'
  | 'incomplete'
  | 'too-large'
  /** A line ends without CR: refused at once, for no CRLF CRLF may ever come. */
  | 'bare-lf';

/** CRLF CRLF: Fixed by RFC 9112. */
const HEAD_END_BYTES = 4;
const NOTHING = Buffer.alloc(0);

/** Finds the heads of one connection's messages, one after the other, in bytes that come in any pieces. Each stays until the next one. */
export class HeadBuffer {
  /** Where the head is that was found last. */
  bytes: Buffer = NOTHING;
  start = 0;
  end = 0;
  /** In what was pushed last. */
  next = 0;
  /** It is byte for byte, and in the same place, what was found before it. */
  isSame = false;
  #storage: Buffer = NOTHING;
  #length = 0;
  /** Of the whole head with which the storage begins; 0: there is none. */
  #keptBytes = 0;

  /** Takes `chunk[from, to)`, which is lent. After `complete`, bytes from `next` on belong to what follows the head. */
  push(chunk: Buffer, from: number, to: number): HeadResult {
    if (this.#length > 0) return this.#pushFurther(chunk, from, to);
    if (this.#storage.length > HTTP.keptHeadBytesMax) this.#forget(); // one large head is no reason to keep its memory
    const start = skipEmptyLines(chunk, from, to);
    if (this.#isKept(chunk, start, to)) return 'complete';
    this.isSame = false;
    const result = this.#scan(chunk, start, start, to);
    if (result === 'complete') {
      this.next = this.end;
      this.#keep();
    } else if (result === 'incomplete') this.#append(chunk, start, to);
    return result;
  }

  /** Whether no byte of a head has come yet. */
  isEmpty(): boolean {
    return this.#length === 0;
  }

  #pushFurther(chunk: Buffer, from: number, to: number): HeadResult {
    const before = this.#length;
    // More than a head may have would be too much whatever it holds.
    const taken = Math.min(to, from + HTTP.headBytesMax + HEAD_END_BYTES);
    this.#append(chunk, from, taken);
    const bytes = this.#storage;
    const start = skipEmptyLines(bytes, 0, this.#length);
    const result = this.#scan(bytes, start, Math.max(0, before - 3), this.#length);
    if (result === 'complete') {
      this.next = from + this.end - before;
      this.#length = 0;
    }
    return result;
  }

  /** Whether the head that starts at `start` is the one before once more: it was whole, so this one is. */
  #isKept(chunk: Buffer, start: number, to: number): boolean {
    const length = this.#keptBytes;
    const storage = this.#storage;
    if (length === 0 || to - start < length) return false;
    for (let at = 0; at < length; at++) if (chunk[start + at] !== storage[at]) return false;
    this.bytes = storage;
    this.start = 0;
    this.end = length;
    this.next = start + length;
    this.isSame = true;
    return true;
  }

  #forget(): void {
    this.#storage = NOTHING;
    this.#keptBytes = 0;
  }

  /** Looks for the end of the head that starts at `start`; what lies before `searchFrom` has been looked at. */
  #scan(bytes: Buffer, start: number, searchFrom: number, to: number): HeadResult {
    const from = Math.max(start, searchFrom);
    const found = endOfHead(bytes, from, to);
    const end = found < 0 ? to : found;
    if (end - start > HTTP.headBytesMax) return 'too-large';
    if (found < 0) return hasBareLf(bytes, from, to) ? 'bare-lf' : 'incomplete';
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    return 'complete';
  }

  #keep(): void {
    const length = this.end - this.start;
    if (this.#storage.length < length) this.#storage = Buffer.allocUnsafe(Math.max(HTTP.headBufferBytes, length));
    this.bytes.copy(this.#storage, 0, this.start, this.end);
    this.bytes = this.#storage;
    this.start = 0;
    this.end = length;
    this.#keptBytes = length;
  }

  #append(chunk: Buffer, from: number, to: number): void {
    this.isSame = false;
    this.#keptBytes = 0;
    const needed = this.#length + to - from;
    if (this.#storage.length < needed) {
      const larger = Buffer.allocUnsafe(Math.max(HTTP.headBufferBytes, needed, this.#storage.length * 2));
      this.#storage.copy(larger, 0, 0, this.#length);
      this.#storage = larger;
    }
    chunk.copy(this.#storage, this.#length, from, to);
    this.#length = needed;
  }
}

/**
 * The place after the empty line that ends a head; -1: there is none. A byte that is neither CR nor LF rules out four places at
 * once; and a native search would go on into what a former read has left behind `to`.
 */
function endOfHead(bytes: Buffer, from: number, to: number): number {
  let at = from + HEAD_END_BYTES - 1;
  while (at < to) {
    const code = bytes[at];
    if (code === LF) {
      if (bytes[at - 1] === CR && bytes[at - 2] === LF && bytes[at - 3] === CR) return at + 1;
      at += 2;
    } else at += code === CR ? 1 : HEAD_END_BYTES;
  }
  return -1;
}

/** RFC 9112 2.2: empty lines before a message are ignored (some clients end a body with an extra CRLF). */
function skipEmptyLines(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at + 1 < to && bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at;
}

function hasBareLf(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (bytes[at] === LF && bytes[at - 1] !== CR) return true;
  return false;
}
