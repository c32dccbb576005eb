import type { Duplex } from 'node:stream';
import type { DirectDuplex } from '#platform/relay/direct-duplex.ts';
import { passCopied } from '#platform/relay/read-buffer.ts';
import type { EndReader, RelayEnd } from '#platform/relay/relay-end.ts';

/** A DirectDuplex as one side of a relay: no copies of our own. */
export class DirectEnd implements RelayEnd {
  readonly #duplex: DirectDuplex;
  /** Bytes passed on while the other side was not ready. */
  #owedBytes = 0;

  constructor(duplex: DirectDuplex) {
    this.#duplex = duplex;
  }

  read(reader: EndReader): void {
    this.#duplex.readInto({
      // What is not given back keeps the peer from sending more: that is how a slow side holds a tunnel back.
      bytes: (chunk) => {
        if (reader.bytes(chunk, 0, chunk.length)) this.#duplex.giveBack(chunk.length);
        else this.#owedBytes += chunk.length;
      },
      flush: () => reader.flush(),
    });
  }

  resume(): void {
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (owed > 0) this.#duplex.giveBack(owed);
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    return this.#duplex.writeFrom(buffer, start, end);
  }

  flush(): void {}

  onReady(ready: () => void): void {
    this.#duplex.onWritable(ready);
  }

  end(): void {
    this.#duplex.end();
  }

  abort(error: Error | null): void {
    this.#duplex.destroy(error ?? undefined);
  }
}

/** Any other Duplex as one side of a relay. */
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
