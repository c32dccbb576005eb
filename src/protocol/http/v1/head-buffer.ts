import { HTTP } from '#model/settings/http.ts';
import { CR, LF } from '#protocol/http/characters.ts';

/** What is known of the head so far. */
export type HeadResult =
  /** A whole head lies in `bytes[start, end)`, its last empty line included; the rest follows at `end`. */
  | { readonly kind: 'complete'; bytes: Buffer; start: number; end: number }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'too-large' }
  /** A line ends without CR: refused at once, for no CRLF CRLF may ever come. */
  | { readonly kind: 'bare-lf' };

const HEAD_END = Buffer.from('\r\n\r\n');
const INCOMPLETE: HeadResult = { kind: 'incomplete' };
const TOO_LARGE: HeadResult = { kind: 'too-large' };
const BARE_LF: HeadResult = { kind: 'bare-lf' };

/** Gathers bytes until a message head is whole. A head that arrives in one piece is not copied. */
export class HeadBuffer {
  #storage: Buffer | null = null;
  #length = 0;

  /** Takes `chunk` from `from` on. After `complete`, bytes past `end` belong to what follows the head. */
  push(chunk: Buffer, from: number): HeadResult {
    if (this.#length === 0) {
      const start = skipEmptyLines(chunk, from);
      const result = scan(chunk, start, start);
      // The socket's chunk may be large: keep only the part that matters.
      if (result.kind === 'incomplete') this.#append(chunk, start);
      return result;
    }
    const searchFrom = Math.max(0, this.#length - 3);
    this.#append(chunk, from);
    const bytes = this.#storage?.subarray(0, this.#length) ?? chunk;
    const result = scan(bytes, skipEmptyLines(bytes, 0), searchFrom);
    if (result.kind === 'complete') this.#forget();
    return result;
  }

  /** Whether no byte of a head has come yet. */
  isEmpty(): boolean {
    return this.#length === 0;
  }

  #append(chunk: Buffer, from: number): void {
    const needed = this.#length + chunk.length - from;
    let storage = this.#storage ?? Buffer.allocUnsafe(Math.max(HTTP.headBufferBytes, needed));
    if (storage.length < needed) {
      const larger = Buffer.allocUnsafe(Math.max(needed, storage.length * 2));
      storage.copy(larger, 0, 0, this.#length);
      storage = larger;
    }
    chunk.copy(storage, this.#length, from);
    this.#storage = storage;
    this.#length = needed;
  }

  /** The complete head keeps the storage; the next one starts afresh. */
  #forget(): void {
    this.#storage = null;
    this.#length = 0;
  }
}

/** Looks for the end of the head that starts at `start`; what lies before `searchFrom` has been looked at. */
function scan(bytes: Buffer, start: number, searchFrom: number): HeadResult {
  const found = bytes.indexOf(HEAD_END, Math.max(start, searchFrom));
  const end = found < 0 ? bytes.length : found + HEAD_END.length;
  if (end - start > HTTP.headBytesMax) return TOO_LARGE;
  if (found >= 0) return { kind: 'complete', bytes, start, end };
  return hasBareLf(bytes, Math.max(start, searchFrom)) ? BARE_LF : INCOMPLETE;
}

/** RFC 9112 2.2: empty lines before a message are ignored (some clients end a body with an extra CRLF). */
function skipEmptyLines(bytes: Buffer, from: number): number {
  let at = from;
  while (bytes[at] === CR && bytes[at + 1] === LF) at += 2;
  return at;
}

function hasBareLf(bytes: Buffer, from: number): boolean {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) return true;
  }
  return false;
}
