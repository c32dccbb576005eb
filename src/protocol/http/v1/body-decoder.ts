import { ChunkedDecoder } from './chunked-decoder.ts';
import type { Framing } from './framing.ts';

/** How far one push came. */
export type BodyResult =
  /** Everything is used up and more must come. */
  | 'more'
  /** The body ended; the next message starts at `position`. */
  | 'end'
  | 'invalid';

/** Receives the pieces of a body; they are views into what was read and must be used or copied at once. */
export type BodyTaker = { takeBody(data: Buffer): void };

/** Reads one body of known framing and hands its pieces on as they come. */
export class BodyDecoder {
  position = 0;
  readonly #framing: Framing;
  readonly #chunked: ChunkedDecoder | null;
  #left: number;

  constructor(framing: Framing) {
    this.#framing = framing;
    this.#chunked = framing.kind === 'chunked' ? new ChunkedDecoder() : null;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
  }

  /** Whether the end of the connection is the end of this body. */
  endsWithConnection(): boolean {
    return this.#framing.kind === 'until-close';
  }

  /** Whether at most `bytesMax` are known to be left. */
  isShort(bytesMax: number): boolean {
    return this.#framing.kind === 'length' && this.#left <= bytesMax;
  }

  /** Reads `bytes` from `from` on. */
  push(bytes: Buffer, from: number, taker: BodyTaker): BodyResult {
    if (this.#chunked !== null) return this.#pushChunked(this.#chunked, bytes, from, taker);
    const end = this.#framing.kind === 'until-close' ? bytes.length : Math.min(bytes.length, from + this.#left);
    this.position = end;
    this.#left -= end - from;
    if (end > from) taker.takeBody(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end));
    return this.#framing.kind !== 'until-close' && this.#left === 0 ? 'end' : 'more';
  }

  #pushChunked(chunked: ChunkedDecoder, bytes: Buffer, from: number, taker: BodyTaker): BodyResult {
    let event = chunked.next(bytes, from);
    while (event === 'data') {
      taker.takeBody(bytes.subarray(chunked.dataStart, chunked.dataEnd));
      event = chunked.next(bytes, chunked.position);
    }
    this.position = chunked.position;
    return event;
  }
}
