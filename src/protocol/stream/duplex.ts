import { Duplex } from 'node:stream';
import type { ByteStream, StreamOver, StreamReader } from '#model/effects/byte-stream.ts';

/** A ByteStream for those who still want a stream of Node.js; destroying it before both directions have ended resets it. */
export function asDuplex(stream: ByteStream): Duplex {
  return new StreamDuplex(stream);
}

class StreamDuplex extends Duplex {
  readonly #stream: ByteStream;
  #waiting: ((error?: Error | null) => void) | null = null;

  constructor(stream: ByteStream) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    this.on('error', () => {}); // a reset that comes before there is a user must not end the process
    const reader: StreamReader = {
      bytes: (buffer, start, end) => {
        if (!this.push(Buffer.from(buffer.subarray(start, end)))) stream.pause();
        return end - start;
      },
      end: () => this.push(null),
      writable: () => this.#release(),
      over: (how) => this.#over(how),
    };
    stream.read(reader);
    stream.pause();
  }

  override _read(): void {
    this.#stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#stream.write(chunk, 0, chunk.length)) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.#stream.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    // Of one that has ended both ways the last bytes may still be on their way.
    if (error !== null || !this.readableEnded || !this.writableFinished) this.#stream.reset();
    this.#release();
    done(error);
  }

  #over(how: StreamOver): void {
    switch (how.kind) {
      case 'finished':
        return;
      case 'reset':
        this.destroy(Object.assign(new Error(`the connection was reset (${how.code})`), { code: 'ECONNRESET' }));
        return;
      case 'failed':
        this.destroy(how.error);
        return;
      default:
        how satisfies never;
    }
  }

  #release(): void {
    const done = this.#waiting;
    this.#waiting = null;
    done?.();
  }
}
