import type { Duplex } from 'node:stream';
import { passCopied } from '#platform/relay/read-buffer.ts';
import type { EndReader, RelayEnd } from '#platform/relay/relay-end.ts';

/** A Duplex that is no socket as one side of a relay. */
export class DuplexEnd implements RelayEnd {
  readonly #duplex: Duplex;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
  }

  read(reader: EndReader): void {
    this.#duplex.on('data', (chunk: Buffer) => {
      if (!passCopied(chunk, reader.bytes)) this.#duplex.pause();
      reader.flush();
    });
  }

  resume(): void {
    this.#duplex.resume();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    // A stream keeps what it is given until it is sent, and these bytes are only lent.
    return this.#duplex.write(Buffer.from(buffer.subarray(start, end)));
  }

  flush(): void {}

  onReady(ready: () => void): void {
    this.#duplex.on('drain', ready);
  }

  end(): void {
    this.#duplex.end();
  }

  abort(error: Error | null): void {
    this.#duplex.destroy(error ?? undefined);
  }
}
