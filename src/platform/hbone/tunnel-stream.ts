import { guard, type Mishaps } from '#model/effects/mishaps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { DirectDuplex, type DirectReader } from '#platform/relay/direct-duplex.ts';
import { ERROR_CODE, errorCodeName, FRAME_HEADER_BYTES } from '#protocol/http/v2/constants.ts';
import type { StreamHandler } from '#protocol/http/v2/roles.ts';
import type { Http2Stream } from '#protocol/http/v2/stream.ts';

const COPY_BYTES = TUNNEL.copyBytes;
/** Bytes that do not lie in a buffer with room for a frame header are copied to here first. */
const COPY_BUFFER = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + COPY_BYTES);

/** Streams that received something in the current read; they are flushed together when it is over. */
export type ReadBatch = { add(stream: TunnelStream): void };

function errorWithCode(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** The bytes of one CONNECT tunnel: an HTTP/2 stream as a Duplex. Destroying it early resets the stream (CANCEL). */
export class TunnelStream extends DirectDuplex {
  /** For the HTTP/2 stream: what arrives. */
  readonly handler: StreamHandler;
  readonly #stream: Http2Stream;
  readonly #batch: ReadBatch;
  readonly #mishaps: Mishaps;
  #reader: DirectReader | null = null;
  #ready: () => void = () => {};
  #pendingWrite: (() => void) | null = null;
  /** Received and pushed, not given back to the peer's window yet. */
  #unreadBytes = 0;
  /** END_STREAM has come. */
  #peerEnded = false;
  /** The peer does not want what we send. */
  #deaf = false;
  #queuedForFlush = false;

  constructor(stream: Http2Stream, batch: ReadBatch, mishaps: Mishaps) {
    super({ allowHalfOpen: true });
    this.#stream = stream;
    this.#batch = batch;
    this.#mishaps = mishaps;
    // A reset that comes before the stream has a user must not end the process.
    this.on('error', () => {});
    this.handler = {
      response() {},
      data: (chunk) => this.#guard(() => this.#onData(chunk)),
      end: () => this.#guard(() => this.#onEnd()),
      reset: (errorCode) => this.#guard(() => this.#onReset(errorCode)),
      writable: () => this.#guard(() => this.#onWritable()),
    };
  }

  readInto(reader: DirectReader): void {
    for (let chunk: unknown = this.read(); Buffer.isBuffer(chunk); chunk = this.read()) reader.bytes(chunk);
    // The reader gives back what it has been handed.
    this.#unreadBytes = 0;
    this.#reader = reader;
    reader.flush();
    this.resume();
  }

  giveBack(bytes: number): void {
    this.#stream.giveBack(bytes);
  }

  writeFrom(buffer: Buffer, start: number, end: number): boolean {
    if (this.#deaf) this.destroy(errorWithCode('EPIPE', 'the peer closed the tunnel'));
    if (start >= FRAME_HEADER_BYTES) return this.#stream.send(buffer, start, end);
    let more = true;
    for (let at = start; at < end; at += COPY_BYTES) {
      const copied = buffer.copy(COPY_BUFFER, FRAME_HEADER_BYTES, at, end);
      more = this.#stream.send(COPY_BUFFER, FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + copied);
    }
    return more;
  }

  onWritable(ready: () => void): void {
    this.#ready = ready;
  }

  /** For the connection: the read that brought bytes is over. */
  flush(): void {
    this.#queuedForFlush = false;
    this.#guard(() => this.#reader?.flush());
  }

  override _read(): void {
    if (this.#reader === null) this.#giveBackUnread();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (this.#deaf) done(errorWithCode('EPIPE', 'the peer closed the tunnel'));
    else if (this.writeFrom(chunk, 0, chunk.length)) done();
    else this.#pendingWrite = done;
  }

  override _final(done: () => void): void {
    this.#stream.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream.reset(ERROR_CODE.cancel);
    this.#releaseWrite();
    done(error);
  }

  /** Others share the connection: what this stream's user throws ends this stream. */
  #guard(act: () => void): void {
    guard(this.#mishaps, 'tunnel', act, (error) => this.destroy(error instanceof Error ? error : new Error(String(error))));
  }

  #onData(chunk: Buffer): void {
    if (this.#reader === null) {
      this.#unreadBytes += chunk.length;
      if (this.push(Buffer.from(chunk))) this.#giveBackUnread();
      return;
    }
    this.#reader.bytes(chunk);
    if (this.#queuedForFlush) return;
    this.#queuedForFlush = true;
    this.#batch.add(this);
  }

  #onEnd(): void {
    this.#peerEnded = true;
    this.push(null);
  }

  #onReset(errorCode: number): void {
    // Without its END_STREAM the peer's half broke off, whatever the reset calls it: an app must not take it for an end.
    if (errorCode !== ERROR_CODE.noError || !this.#peerEnded) {
      this.destroy(errorWithCode('ECONNRESET', `the peer reset the tunnel (${errorCodeName(errorCode)})`));
      return;
    }
    // The peer has said all it wanted, and wants no more: an error only for further writes.
    this.#deaf = true;
    this.#releaseWrite();
  }

  #onWritable(): void {
    this.#releaseWrite();
    this.#ready();
  }

  #giveBackUnread(): void {
    const bytes = this.#unreadBytes;
    this.#unreadBytes = 0;
    if (bytes > 0) this.#stream.giveBack(bytes);
  }

  #releaseWrite(): void {
    const done = this.#pendingWrite;
    this.#pendingWrite = null;
    done?.();
  }
}
