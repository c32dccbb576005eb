import type { StreamOver } from '#model/effects/byte-stream.ts';
import { errnoName } from '#platform/ffi/libc.ts';
import type { Memory } from '#platform/ffi/memory.ts';
import { opensslReason } from '#platform/ffi/openssl.ts';
import type { Ssl } from '#platform/ffi/ssl.ts';
import type { Syscalls } from '#platform/ffi/syscalls.ts';

/** The most content of a record. Fixed by RFC 8446 5.1. */
const RECORD_BYTES = 16_384;
/** Fixed by Linux. */
const IPPROTO_TCP = 6;
const TCP_CORK = 3;
const EAGAIN = 11;
const EPIPE = 32;
const EPROTO = 71;
const ECONNRESET = 104;

/** TCP ended where TLS had not said so: whoever sits in between can do that. */
export const TRUNCATED: StreamOver = { kind: 'reset', code: 'TLS_TRUNCATED' };

/** The bytes of an established TLS connection. Counts, or negative errnos; `broken` says more of those. */
export class TlsChannel {
  readonly #calls: Syscalls;
  readonly #fd: number;
  readonly #ssl: Ssl;
  /** The last read found no whole record: what lies in OpenSSL's buffer is the start of one. */
  #drained = false;
  #broken: StreamOver | null = null;

  constructor(calls: Syscalls, fd: number, ssl: Ssl) {
    this.#calls = calls;
    this.#fd = fd;
    this.#ssl = ssl;
  }

  /** 0: close_notify. */
  receive(memory: Memory, offset: number, bytes: number): number {
    const read = this.#ssl.read(memory, offset, bytes);
    this.#drained = read <= 0;
    if (read > 0) return read;
    return this.#ssl.failure.kind === 'closed' ? 0 : this.#failed();
  }

  send(memory: Memory, offset: number, bytes: number): number {
    const written = this.#ssl.write(memory, offset, bytes);
    return written > 0 ? written : this.#failed();
  }

  /** As many records as there is room for. */
  sendFrom(buffer: Buffer, start: number, end: number): number {
    const several = end - start > RECORD_BYTES;
    if (several) this.gather(true);
    const sent = this.#sendRecords(buffer, start, end);
    if (several) this.gather(false);
    return sent;
  }

  #sendRecords(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const written = this.#ssl.writeFrom(buffer, at, end);
      if (written <= 0) {
        const failed = this.#failed();
        return failed === -EAGAIN && at > start ? at - start : failed;
      }
      at += written;
    }
    return at - start;
  }

  /** Whole records may lie in OpenSSL's buffer, of which no event of the descriptor will tell. */
  hasMore(): boolean {
    return !this.#drained && this.#ssl.hasPending;
  }

  /** After so many bytes in one turn: one call of OpenSSL reads a record only. */
  readsOn(bytes: number): boolean {
    return bytes >= RECORD_BYTES || this.hasMore();
  }

  /** Several sends follow: OpenSSL makes a call for each record, and each would be a packet of its own. */
  gather(on: boolean): void {
    this.#calls.setInt(this.#fd, IPPROTO_TCP, TCP_CORK, on ? 1 : 0);
  }

  /** close_notify, then FIN: the peer can tell this from a connection that was cut. -EAGAIN: to be called again. */
  finish(): number {
    return this.#ssl.shutDown() < 0 ? this.#failed() : this.#calls.shutdownWrite(this.#fd);
  }

  /** How a stream ends that got this negative errno. */
  broken(result: number): StreamOver {
    if (this.#broken !== null) return this.#broken;
    const code = errnoName(-result);
    if (result === -ECONNRESET || result === -EPIPE) return { kind: 'reset', code };
    return { kind: 'failed', code, error: new Error(`the connection failed: ${code}`) };
  }

  free(): void {
    this.#ssl.close();
  }

  #failed(): number {
    const { failure } = this.#ssl;
    switch (failure.kind) {
      case 'again':
        return -EAGAIN;
      case 'closed':
        return -EPIPE;
      case 'system':
        return failure.errno === 0 ? -ECONNRESET : -failure.errno;
      case 'tls':
        return this.#breach();
      default:
        return failure satisfies never;
    }
  }

  #breach(): number {
    const { text, isTruncation } = opensslReason();
    this.#broken ??= isTruncation
      ? TRUNCATED
      : { kind: 'failed', code: text, error: new Error(`the TLS connection failed: ${text}`) };
    return isTruncation ? -ECONNRESET : -EPROTO;
  }
}
