import { brokenBy, type StreamOver } from '#model/effects/byte-stream.ts';
import { IO } from '#model/settings/io.ts';
import { ERRNO, errnoName } from '#platform/ffi/libc.ts';
import { LentMemory, type Memory } from '#platform/ffi/memory.ts';
import { opensslReason } from '#platform/ffi/openssl.ts';
import type { Ssl } from '#platform/ffi/ssl.ts';
import type { Syscalls } from '#platform/ffi/syscalls.ts';
import { TRUNCATED } from '#platform/io/io.ts';

/** The most content of a record. Fixed by RFC 8446 5.1. */
const RECORD_BYTES = 16_384;
/** What OpenSSL makes of one message that is not data, with its answer: 8 steps at most. */
const STEPS_MAX = 8 * IO.keyUpdatesMax;
/** Encrypted at once. Fixed here: what one read of an app brings. */
const BATCH_BYTES = IO.readBytes;
/** Encrypted bytes that OpenSSL may keep, of which the kernel is given all before more come: those of a batch, and what is gathered with it. */
const KEPT_BYTES = BATCH_BYTES + 2 * IO.pendingBytesMax;
/** What a record takes at the most. Fixed by RFC 8446 5.2. */
const RECORD_ROOM = 5 + RECORD_BYTES + 256;
/** What the channel at work has encrypted, on its way to the kernel in the same call. */
const cipher = new LentMemory();

/** The bytes of an established TLS connection. Counts, or negative errnos; `broken` says more of those. */
export class TlsChannel {
  readonly #calls: Syscalls;
  readonly #fd: number;
  readonly #ssl: Ssl;
  /** Whole records may lie in OpenSSL's buffer: the last read took one, and left more; null: it was not asked yet, which is a call. */
  #more: boolean | null = false;
  hasLastWord = false;
  #broken: StreamOver | null = null;
  #gathering = false;
  #closeSent = false;
  /** OpenSSL keeps no more than this. */
  #keptMax = 0;
  #waiting: Buffer | null = null;
  #waitingAt = 0;
  /** The negative errno of an answer that could not be sent: the descriptor tells it once only. */
  #pushFailed = 0;
  readonly #nowMs: () => number;
  #stepsLeft = 0;
  #countedSinceMs = 0;

  constructor(calls: Syscalls, fd: number, ssl: Ssl, nowMs: () => number) {
    this.#calls = calls;
    this.#fd = fd;
    this.#ssl = ssl;
    this.#nowMs = nowMs;
    ssl.keepWrites(KEPT_BYTES);
    this.#countSteps();
  }

  /** 0: close_notify. */
  receive(memory: Memory, offset: number, bytes: number): number {
    const read = this.#ssl.read(memory, offset, bytes);
    this.#more = read > 0 ? null : false; // what lies there then is the start of one
    const isData = this.#ssl.stepsLeft === this.#stepsLeft;
    // Only what was read, and was not data, has an answer, such as new keys or an alert.
    if (!(isData && read > 0) && this.#ssl.keptBytes > 0) this.#pushFailed = failureOf(this.#push());
    if (!isData && !this.#mayRenew()) return this.#tooManyKeys();
    if (read > 0) return read;
    if (this.#pushFailed < 0) return this.#pushFailed;
    return this.#ssl.failure.kind === 'closed' ? 0 : this.#failed();
  }

  send(memory: Memory, offset: number, bytes: number): number {
    const flushed = this.flush();
    if (flushed < 0) return flushed;
    let at = 0;
    while (at < bytes) {
      const failed = this.#makeRoom();
      if (failed < 0) return failed;
      const written = this.#ssl.write(memory, offset + at, bytes - at);
      if (written <= 0) return this.#failed();
      at += written;
    }
    return this.#gathering ? bytes : this.#pushed(bytes);
  }

  /** Taken means encrypted: what the kernel had no room for is `unsent`. */
  sendFrom(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const flushed = this.flush();
      if (flushed < 0) return at > start && flushed === -ERRNO.again ? at - start : flushed;
      const stop = Math.min(end, at + BATCH_BYTES);
      while (at < stop) {
        const failed = this.#makeRoom();
        if (failed < 0) return failed;
        const written = this.#ssl.writeFrom(buffer, at, stop);
        if (written <= 0) return this.#failed();
        at += written;
      }
      const pushed = this.#push();
      if (pushed < 0 && pushed !== -ERRNO.again) return pushed;
    }
    return at - start;
  }

  /** Bytes encrypted that wait for the kernel. */
  get unsent(): number {
    return this.#waiting === null ? 0 : this.#waiting.length - this.#waitingAt;
  }

  /** Sends what is unsent. 0: all of it, or a negative errno. */
  flush(): number {
    if (this.#pushFailed < 0) return this.#pushFailed;
    while (this.#waiting !== null) {
      const sent = this.#calls.sendFrom(this.#fd, this.#waiting, this.#waitingAt, this.#waiting.length);
      if (sent === -ERRNO.interrupted) continue;
      if (sent < 0) return sent;
      this.#waitingAt += sent;
      if (this.#waitingAt === this.#waiting.length) this.#waiting = null;
    }
    return 0;
  }

  #pushed(bytes: number): number {
    const failed = failureOf(this.#push());
    return failed < 0 ? failed : bytes;
  }

  /** For one more record: OpenSSL writes it whole, or stands within it. */
  #makeRoom(): number {
    const failed = this.#keptMax + RECORD_ROOM > KEPT_BYTES ? failureOf(this.#push()) : 0;
    this.#keptMax += RECORD_ROOM;
    return failed;
  }

  /** Sends what OpenSSL has written, after what waits already. */
  #push(): number {
    this.#keptMax = 0;
    // All in one piece: it is always taken whole, so that what comes next begins where the memory does.
    const count = this.#ssl.takeKept(cipher);
    let at = 0;
    while (this.#waiting === null && at < count) {
      const sent = this.#calls.send(this.#fd, cipher, at, count - at);
      if (sent === -ERRNO.interrupted) continue;
      if (sent === -ERRNO.again) break;
      if (sent < 0) return sent;
      at += sent;
    }
    if (at < count) this.#keep(cipher.copy(at, count - at));
    return this.unsent > 0 ? -ERRNO.again : 0;
  }

  #keep(bytes: Buffer): void {
    const before = this.#waiting === null ? [] : [this.#waiting.subarray(this.#waitingAt)];
    this.#waiting = Buffer.concat([...before, bytes]);
    this.#waitingAt = 0;
  }

  /** Whole records may lie in OpenSSL's buffer, of which no event of the descriptor will tell. */
  hasMore(): boolean {
    this.#more ??= this.#ssl.hasPending;
    return this.#more;
  }

  /** After so many bytes in one turn: one call of OpenSSL reads a record only. */
  readsOn(bytes: number): boolean {
    return bytes >= RECORD_BYTES || this.hasMore();
  }

  /** Several sends follow, and are to leave as one. */
  gather(on: boolean): number {
    this.#gathering = on;
    return on ? 0 : this.#push();
  }

  /** close_notify, then FIN: the peer can tell this from a connection that was cut. -ERRNO.again: to be called again. */
  readonly endsByClosing = false;

  finish(): number {
    if (!this.#closeSent && this.#ssl.shutDown() < 0) return this.#failed();
    this.#closeSent = true;
    const pushed = this.#push();
    return pushed < 0 ? pushed : this.#calls.shutdownWrite(this.#fd);
  }

  /** How a stream ends that got this negative errno. */
  broken(result: number): StreamOver {
    return this.#broken ?? brokenBy(errnoName(-result));
  }

  free(): void {
    this.#waiting = null;
    this.#ssl.close();
  }

  /** OpenSSL itself stops at twice as many, in the middle of whatever it reads: only after that can we look at the time. */
  #countSteps(): void {
    this.#stepsLeft = 2 * STEPS_MAX;
    this.#ssl.limitSteps(this.#stepsLeft);
    this.#countedSinceMs = this.#nowMs();
  }

  /** After messages that were not data; false: there were too many in too short a time. */
  #mayRenew(): boolean {
    this.#stepsLeft = this.#ssl.stepsLeft;
    if (this.#stepsLeft < 0) return false;
    if (this.#nowMs() - this.#countedSinceMs < IO.keyUpdatesMs) return this.#stepsLeft >= STEPS_MAX;
    this.#countSteps();
    return true;
  }

  #tooManyKeys(): number {
    const code = 'too many key updates';
    this.#broken ??= { kind: 'failed', code, error: new Error(`the TLS connection failed: ${code}`) };
    return -ERRNO.protocol;
  }

  #failed(): number {
    const { failure } = this.#ssl;
    switch (failure.kind) {
      case 'again':
        return -ERRNO.again;
      case 'closed':
        return -ERRNO.pipe;
      case 'system':
        return failure.errno === 0 ? -ERRNO.reset : -failure.errno;
      case 'tls':
        return this.#breach();
      default:
        return failure satisfies never;
    }
  }

  #breach(): number {
    const { text, isTruncation, isAlert } = opensslReason();
    this.hasLastWord = !isTruncation && !isAlert;
    this.#broken ??= isTruncation
      ? TRUNCATED
      : { kind: 'failed', code: text, error: new Error(`the TLS connection failed: ${text}`) };
    return isTruncation ? -ERRNO.reset : -ERRNO.protocol;
  }
}

/** A negative errno that is more than having to wait; otherwise 0. */
function failureOf(result: number): number {
  return result < 0 && result !== -ERRNO.again ? result : 0;
}
