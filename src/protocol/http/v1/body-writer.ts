import type { Duplex } from 'node:stream';
import { HTTP } from '#model/settings/http.ts';
import { Announced } from '#protocol/http/announced.ts';
import type { OutgoingFraming } from './head-writer.ts';

const COALESCED_BYTES_MAX = HTTP.coalescedBytesMax;

const CRLF = Buffer.from('\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/**
 * Writes messages to a stream and frames their bodies. What is given within one turn leaves in one write:
 * the owner calls `flush` when the turn is over.
 */
export class BodyWriter {
  readonly #stream: Duplex;
  #chunked = false;
  readonly #announced = new Announced();
  #pending: Buffer[] = [];
  #pendingBytes = 0;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  /** `bytes`: of the body, where the head announces it. */
  begin(head: Buffer, framing: OutgoingFraming, bytes: number | null): void {
    this.#announced.expect(framing === 'length' ? bytes : null);
    this.#chunked = framing === 'chunked';
    this.#push(head);
  }

  /**
   * False: the stream is over its watermark. `data` is kept until written: it must not change. More than was announced
   * would be read as the next message: the stream is cut instead.
   */
  write(data: Buffer): boolean {
    if (!this.#announced.take(data.length)) {
      this.#cut();
      return true;
    }
    if (data.length === 0) return !this.#stream.writableNeedDrain;
    if (this.#chunked) this.#push(Buffer.from(`${data.length.toString(16)}\r\n`, 'latin1'));
    this.#push(data);
    if (this.#chunked) this.#push(CRLF);
    if (this.#pendingBytes > COALESCED_BYTES_MAX) this.flush();
    return !this.#stream.writableNeedDrain;
  }

  /** Ends the message, not the stream; a message that is shorter than announced cuts it: false. */
  end(): boolean {
    if (!this.#announced.isWhole()) {
      this.#cut();
      return false;
    }
    if (this.#chunked) this.#push(LAST_CHUNK);
    this.#chunked = false;
    return true;
  }

  #cut(): void {
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#stream.destroy();
  }

  flush(): void {
    const pending = this.#pending;
    const [only] = pending;
    if (only === undefined) return;
    const bytes = this.#pendingBytes;
    this.#pending = [];
    this.#pendingBytes = 0;
    if (pending.length === 1) this.#stream.write(only);
    else if (bytes <= 2 * COALESCED_BYTES_MAX) this.#stream.write(Buffer.concat(pending, bytes));
    else this.#writeEach(pending);
  }

  /** Large pieces are not copied: one vectored write takes them as they are. */
  #writeEach(pieces: readonly Buffer[]): void {
    this.#stream.cork();
    for (const piece of pieces) this.#stream.write(piece);
    this.#stream.uncork();
  }

  #push(piece: Buffer): void {
    this.#pending.push(piece);
    this.#pendingBytes += piece.length;
  }
}
