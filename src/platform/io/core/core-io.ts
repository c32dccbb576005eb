import type { ByteStream, Dialled, Endpoint } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { WeftError } from '#model/error.ts';
import { openssl } from '#platform/ffi/openssl.ts';
import { SYSCALLS, type Syscalls } from '#platform/ffi/syscalls.ts';
import type { Io, Listener, OutsideTlsOptions, Secured, TlsContext, TlsOptions } from '#platform/io/io.ts';
import { CoreTlsContext, Handshake, type Shaken } from '#platform/io/tls/handshake.ts';
import { Connection, type ConnectionHost } from './connection.ts';
import { dial } from './dial.ts';
import { CoreListener } from './listener.ts';
import { Loop, READY } from './loop.ts';
import { ChunkPool } from './outgoing.ts';

/**
 * Io over epoll and the OpenSSL of the node binary, through FFI. Its loop is the only one of its thread: each blocks in an epoll of
 * its own, and two would wait for each other. Several of these may share one.
 */
export class CoreIo implements Io {
  readonly loop: Loop;
  readonly #host: ConnectionHost;
  readonly #clock: Clock;

  /** Errors: WEFT_FFI where this Node.js or this kernel does not do what it needs. */
  constructor(clock: Clock, mishaps: Mishaps, calls: Syscalls = SYSCALLS, loop: Loop | null = null) {
    openssl(); // what is not there is told at the start, not at the first handshake
    this.loop = loop ?? new Loop(calls, mishaps);
    this.#host = { loop: this.loop, chunks: new ChunkPool(), mishaps, clock, lingering: new Set() };
    this.#clock = clock;
  }

  listen(fd: number, accept: (stream: ByteStream) => void): Listener {
    return new CoreListener(this.#host, this.#clock, fd, accept);
  }

  connect(fd: number, to: Endpoint, deadlineMs: number): Dialled | Promise<Dialled> {
    return dial(this.#host, this.#clock, fd, to, deadlineMs);
  }

  tlsContext(options: TlsOptions | OutsideTlsOptions): TlsContext {
    return new CoreTlsContext(options);
  }

  secure(stream: ByteStream, context: TlsContext, deadlineMs: number | null): Promise<Secured> {
    if (!(stream instanceof Connection) || !(context instanceof CoreTlsContext)) {
      throw new WeftError('WEFT_TLS', 'a stream or context of another implementation of Io', { remedy: 'report this as a bug' });
    }
    if (stream.isOver) return Promise.resolve({ kind: 'gone', code: 'ECONNRESET' });
    return new Promise((resolve) => {
      const { calls } = this.loop;
      const wait = (wants: 'read' | 'write'): void => stream.await(READY[wants]);
      const done = (shaken: Shaken): void => resolve(stream.shaken(shaken));
      stream.shake(new Handshake({ calls, fd: stream.fd, context, clock: this.#clock, deadlineMs, wait, done }));
    });
  }
}
