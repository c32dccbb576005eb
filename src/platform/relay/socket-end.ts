import type net from 'node:net';
import { TLSSocket } from 'node:tls';
import { RELAY } from '#model/settings/tunnels.ts';
import { readDirectly } from '#platform/io/node/direct-read.ts';
import { passCopied, READ_AREA, READ_BUFFER, READ_START } from '#platform/relay/read-buffer.ts';
import type { EndReader, RelayEnd } from '#platform/relay/relay-end.ts';

const GATHER_BYTES = RELAY.gatherBytes;
const SMALL_BYTES_MAX = RELAY.smallBytesMax;
const SPARE_BUFFERS_MAX = RELAY.spareBuffersMax;
const spareBuffers: Buffer[] = [];

/** A TCP (or TLS) socket as one side of a relay. Gathers small writes until `flush`. */
export class SocketEnd implements RelayEnd {
  readonly #socket: net.Socket;
  #gather: Buffer | null = null;
  #gathered = 0;
  #full = false;
  #ready: () => void = () => {};

  constructor(socket: net.Socket) {
    this.#socket = socket;
    // By default the end of one direction ends the other, too (B22).
    socket.allowHalfOpen = true;
    // What is flushed has been gathered already: holding it back for more would only add delay.
    socket.setNoDelay(true);
    socket.on('drain', () => {
      this.#full = false;
      this.#ready();
    });
  }

  read(reader: EndReader): void {
    const socket = this.#socket;
    let more = true;
    // What came before the relay began lies in the stream's own buffer.
    for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read())
      more = passCopied(chunk, reader.bytes) && more;
    reader.flush();
    const direct = readDirectly(socket, READ_AREA, (bytes) => {
      const proceed = reader.bytes(READ_BUFFER, READ_START, READ_START + bytes);
      reader.flush();
      return proceed;
    });
    // A Node.js without that switch makes a buffer of its own for each chunk.
    if (!direct) {
      socket.on('data', (chunk) => {
        if (!passCopied(chunk, reader.bytes)) socket.pause();
        reader.flush();
      });
    }
    if (more) socket.resume();
  }

  resume(): void {
    this.#socket.resume();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    let at = start;
    while (at < end) {
      if (this.#gathered === GATHER_BYTES) this.flush();
      this.#gather ??= spareBuffers.pop() ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
      // Copied, because the source reads into `buffer` again as soon as this returns.
      const copied = buffer.copy(this.#gather, this.#gathered, at, end);
      this.#gathered += copied;
      at += copied;
    }
    return !this.#full;
  }

  flush(): void {
    const gather = this.#gather;
    if (gather === null) return;
    const socket = this.#socket;
    const bytes = gather.subarray(0, this.#gathered);
    this.#gather = null;
    this.#gathered = 0;
    // What has to wait for the kernel waits in a buffer of its own size, not in a large one.
    const copied = bytes.length <= SMALL_BYTES_MAX || socket.writableLength > 0;
    this.#full = !socket.write(copied ? Buffer.from(bytes) : bytes);
    // What the kernel did not take at once is still being read from this buffer, so it is let go.
    // `writableLength` is 0 when the kernel took all of it within the call.
    const done = copied || socket.writableLength === 0;
    if (done && spareBuffers.length < SPARE_BUFFERS_MAX) spareBuffers.push(gather);
  }

  onReady(ready: () => void): void {
    this.#ready = ready;
  }

  end(): void {
    this.flush();
    this.#socket.end();
  }

  abort(error: Error | null): void {
    if (this.#socket.destroyed) return;
    if (error === null) {
      this.flush();
      this.#socket.destroySoon();
    } else if (this.#socket instanceof TLSSocket) this.#socket.destroy();
    // Node.js loses the descriptor of a socket that is reset while its end is still being sent.
    else if (this.#socket.writableEnded && !this.#socket.writableFinished) this.#socket.destroy();
    else this.#reset();
  }

  #reset(): void {
    try {
      this.#socket.resetAndDestroy();
    } catch {
      this.#socket.destroy(); // a unix socket: it has no resets
    }
  }
}
