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

/** Reads the bodies of one connection in turn, each of known framing, and hands their pieces on as they come. */
export class BodyDecoder {
  position = 0;
  #kind: Framing['kind'] = 'none';
  /** Made for the first chunked body: most connections have none. */
  #chunked: ChunkedDecoder | null = null;
  #left = 0;

  /** The next body begins. */
  begin(framing: Framing): void {
    this.#kind = framing.kind;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
    if (framing.kind !== 'chunked') return;
    this.#chunked ??= new ChunkedDecoder();
    this.#chunked.begin();
  }

  /** Whether the end of the connection is the end of this body. */
  endsWithConnection(): boolean {
    return this.#kind === 'until-close';
  }

  /** Whether at most `bytesMax` are known to be left. */
  isShort(bytesMax: number): boolean {
    return this.#kind === 'length' && this.#left <= bytesMax;
  }

  /** Reads `bytes[from, end)`. */
  push(bytes: Buffer, from: number, end: number, taker: BodyTaker): BodyResult {
    if (this.#kind === 'chunked' && this.#chunked !== null) return this.#pushChunked(this.#chunked, bytes, from, end, taker);
    const stop = this.#kind === 'until-close' ? end : Math.min(end, from + this.#left);
    this.position = stop;
    this.#left -= stop - from;
    if (stop > from) taker.takeBody(bytes.subarray(from, stop));
    return this.#kind !== 'until-close' && this.#left === 0 ? 'end' : 'more';
  }

  #pushChunked(chunked: ChunkedDecoder, bytes: Buffer, from: number, end: number, taker: BodyTaker): BodyResult {
    let event = chunked.next(bytes, from, end);
    while (event === 'data') {
      taker.takeBody(bytes.subarray(chunked.dataStart, chunked.dataEnd));
      event = chunked.next(bytes, chunked.position, end);
    }
    this.position = chunked.position;
    return event;
  }
}
