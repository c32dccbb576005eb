import { HTTP } from '#model/settings/http.ts';
import type { HeadBuffer } from './head-buffer.ts';
import { Http1Headers } from './http1-headers.ts';

/** Reads the head in `bytes[start, end)` into `headers`; what it finds depends on these bytes and on `terms`, and on nothing else. */
type Parse<Result, Terms> = (bytes: Buffer, start: number, end: number, headers: Http1Headers, terms: Terms) => Result;

/** Reads the heads of one connection, one after the other. One that is byte for byte the one before, on the same terms, is not read again. */
export class KnownHeads<Result extends { readonly kind: 'ok' | 'invalid' }, Terms> {
  /** Of the message read last. */
  readonly headers = new Http1Headers();
  readonly #parse: Parse<Result, Terms>;
  #last: Result | null = null;
  #terms: Terms | null = null;

  constructor(parse: Parse<Result, Terms>) {
    this.#parse = parse;
  }

  /** Reads what `found` has found last. */
  read(found: HeadBuffer, terms: Terms): Result {
    if (this.#last !== null && found.isSame && terms === this.#terms) {
      this.headers.again();
      return this.#last;
    }
    const result = this.#parse(found.bytes, found.start, found.end, this.headers, terms);
    this.headers.keep();
    // What a long one takes is not kept for as long as the connection lasts.
    this.#last = result.kind === 'ok' && found.end - found.start <= HTTP.keptHeadBytesMax ? result : null;
    this.#terms = terms;
    return result;
  }
}
