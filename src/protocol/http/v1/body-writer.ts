import type { ByteStream } from '#model/effects/byte-stream.ts';
import { Announced } from '#protocol/http/announced.ts';
import type { OutgoingFraming } from './head-writer.ts';

const CRLF = Buffer.from('\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
/** Where the line before a chunk is written: one in the process, since a write takes its bytes before it returns. */
const sizeLine = Buffer.allocUnsafeSlow(32);

/** Frames the bodies of the messages that one connection sends. What one turn writes leaves together: the stream gathers it. */
export class BodyWriter {
  readonly #stream: Pick<ByteStream, 'write'>;
  readonly #announced = new Announced();
  #chunked = false;
  #hasRoom = true;

  constructor(stream: Pick<ByteStream, 'write'>) {
    this.#stream = stream;
  }

  /** A head was written. `bytes`: of the body, where the head announces it. */
  begin(framing: OutgoingFraming, bytes: number | null): void {
    this.#announced.expect(framing === 'length' ? bytes : null);
    this.#chunked = framing === 'chunked';
    this.#hasRoom = true;
  }

  /** Whether `data` is no more than was announced: more would be read as the next message, and must not be written. */
  takes(data: Buffer): boolean {
    return this.#announced.take(data.length);
  }

  /** Takes a lent piece. False: the stream is over its watermark. */
  write(data: Buffer): boolean {
    const { length } = data;
    if (length === 0) return this.#hasRoom;
    if (this.#chunked) this.#stream.write(sizeLine, 0, writeSize(length));
    this.#hasRoom = this.#stream.write(data, 0, length);
    if (this.#chunked) this.#hasRoom = this.#stream.write(CRLF, 0, CRLF.length);
    return this.#hasRoom;
  }

  /** Ends the message, not the stream; false, and nothing written, when it is shorter than announced. */
  end(): boolean {
    if (!this.#announced.isWhole()) return false;
    if (this.#chunked) this.#stream.write(LAST_CHUNK, 0, LAST_CHUNK.length);
    this.#chunked = false;
    return true;
  }
}

/** Hexadecimal and CRLF, into `sizeLine`; returns the length. */
function writeSize(bytes: number): number {
  const length = sizeLine.write(bytes.toString(16), 0, 'latin1');
  sizeLine[length] = 0x0d;
  sizeLine[length + 1] = 0x0a;
  return length + 2;
}
