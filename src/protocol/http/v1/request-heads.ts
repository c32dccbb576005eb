import { HTTP } from '#model/settings/http.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
import type { HeadBuffer } from './head-buffer.ts';
import { Http1Headers } from './http1-headers.ts';
import { parseRequestHead, type RequestHeadResult } from './request-head.ts';

type Good = Extract<RequestHeadResult, { readonly kind: 'ok' }>;

/**
 * Reads the heads of one connection's requests, one after the other. One that is byte for byte the one before is not read again: what is
 * found in it depends on its bytes and on the level to which paths are normalized, and on nothing else.
 */
export class RequestHeads {
  /** Of the request read last. */
  readonly headers = new Http1Headers();
  #last: Good | null = null;
  #level: PathNormalization | null = null;

  /** Reads what `found` has found last. */
  read(found: HeadBuffer, level: PathNormalization): RequestHeadResult {
    if (this.#last !== null && found.isSame && level === this.#level) {
      this.headers.again();
      return this.#last;
    }
    const result = parseRequestHead(found.bytes, found.start, found.end, this.headers, level);
    this.headers.keep();
    // What a long one takes is not kept for as long as the connection lasts.
    this.#last = result.kind === 'ok' && found.end - found.start <= HTTP.keptHeadBytesMax ? result : null;
    this.#level = level;
    return result;
  }
}
