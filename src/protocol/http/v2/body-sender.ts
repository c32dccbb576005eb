import type { HeaderBlock } from '#protocol/http/header-block.ts';
import { Trailers } from './field-block.ts';
import type { Http2Stream } from './stream.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Sends the body of a message. The last piece waits, as it was lent, for what the same turn still brings: an end rides on it.
 * `flush` must follow in that turn.
 */
export class BodySender {
  #waiting: Buffer | null = null;

  /** False: stop until the stream is writable. */
  write(stream: Http2Stream, data: Buffer): boolean {
    const before = this.#waiting;
    this.#waiting = data;
    return before === null || stream.sendView(before, false);
  }

  flush(stream: Http2Stream): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    stream.sendView(waiting, false);
  }

  end(stream: Http2Stream, trailers: HeaderBlock | null): void {
    if (trailers === null) {
      const waiting = this.#waiting ?? NOTHING;
      this.#waiting = null;
      stream.sendView(waiting, true);
      return;
    }
    this.flush(stream);
    stream.endWith(new Trailers(trailers));
  }

  drop(): void {
    this.#waiting = null;
  }
}
