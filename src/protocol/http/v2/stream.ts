import { ERROR_CODE, FRAME, FRAME_HEADER_BYTES, type Http2Error } from './constants.ts';
import { endStreamFrame, headersFrames, rstStreamFrame, windowUpdateFrame, writeFrameHeader } from './frame-writer.ts';
import { encodeHeaders } from './hpack-encoder.ts';
import type { Header } from './hpack-table.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { Http2Settings } from './settings.ts';

/** Where the bytes of a connection go. */
export type Transport = {
  /** Takes the bytes before it returns: the caller may overwrite them. */
  write(bytes: Buffer): void;
  /** False while enough is queued; `Http2Connection.drained` tells when it is true again. */
  writable(): boolean;
};

/** What happens to a stream, told to its owner. Nothing follows `reset`. */
export type StreamHandler = {
  /** Client only: the response. `ended` when no body follows. */
  response(headers: readonly Header[], ended: boolean): void;
  /** `chunk` is valid during the call only; give it back with `Http2Stream.giveBack` once it is taken. */
  data(chunk: Buffer): void;
  end(): void;
  /** `unprocessed`: the peer certainly did nothing with the stream, it may be tried again elsewhere. */
  reset(errorCode: number, unprocessed: boolean): void;
  /** More may be sent after `send` has returned false. */
  writable(): void;
};

/** What a stream needs of its connection. */
export type StreamHost = {
  readonly transport: Transport;
  /** Bytes the peer allows us on the whole connection. */
  sendWindowBytes: number;
  readonly peerFrameBytesMax: number;
  /** Streams with something to send that could not. */
  readonly blocked: Set<Http2Stream>;
  giveBack(bytes: number): void;
  closed(stream: Http2Stream): void;
};

type Pending = { buffer: Buffer; at: number; end: number };

/** Several frames are put together in here, so that small frame limits do not cost one write each. */
const BATCH = Buffer.allocUnsafeSlow(256 * 1024);

/** One HTTP/2 stream that carries bytes both ways. */
export class Http2Stream {
  readonly id: number;
  handler: StreamHandler;
  readonly #host: StreamHost;
  readonly #receiveWindow: ReceiveWindow;
  #sendWindowBytes: number;
  #pending: Pending[] = [];
  #endWanted: (() => void) | null = null;
  #localEnded = false;
  #remoteEnded = false;
  #closed = false;
  #answered = false;

  constructor(id: number, host: StreamHost, handler: StreamHandler, sendWindowBytes: number, receiveWindowBytes: number) {
    this.id = id;
    this.handler = handler;
    this.#host = host;
    this.#sendWindowBytes = sendWindowBytes;
    this.#receiveWindow = new ReceiveWindow(receiveWindowBytes);
  }

  /** No more events and nothing more to send. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Bytes taken that windows or transport have not let out. */
  get pendingBytes(): number {
    let bytes = 0;
    for (const { at, end } of this.#pending) bytes += end - at;
    return bytes;
  }

  /** Headers of ours have gone out. */
  get answered(): boolean {
    return this.#answered;
  }

  /** The peer sends no more bytes. */
  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  /** Request or response headers; `ended` ends our direction with them. */
  sendHeaders(headers: readonly Header[], ended: boolean): void {
    if (this.#closed || this.#localEnded) return;
    this.#answered = true;
    this.#host.transport.write(headersFrames(this.id, encodeHeaders(headers), ended, this.#host.peerFrameBytesMax));
    if (ended) this.#finishLocal();
  }

  /**
   * Sends `buffer[start, end)`. The nine bytes before `start` must be free: frame headers go there, and into
   * bytes already sent, so the range is overwritten. All of it is taken before the call returns.
   * False: wait for `writable` before sending more.
   */
  send(buffer: Buffer, start: number, end: number): boolean {
    if (this.#closed || this.#localEnded) return true;
    const at = this.#pending.length === 0 ? this.#transmit(buffer, start, end) : start;
    if (at === end && this.#host.transport.writable()) return true;
    if (at < end) {
      const copy = Buffer.allocUnsafe(FRAME_HEADER_BYTES + end - at);
      buffer.copy(copy, FRAME_HEADER_BYTES, at, end);
      this.#pending.push({ buffer: copy, at: FRAME_HEADER_BYTES, end: copy.length });
    }
    this.#host.blocked.add(this);
    return false;
  }

  /** Ends our direction after everything sent so far; `done` is called once it is on its way. */
  end(done: () => void): void {
    if (this.#closed || this.#localEnded) {
      done();
      return;
    }
    this.#endWanted = done;
    if (this.#pending.length === 0) this.#sendEnd();
  }

  /** Cuts both directions. */
  reset(errorCode: number): void {
    if (this.#closed) return;
    this.#host.transport.write(rstStreamFrame(this.id, errorCode));
    this.#close();
  }

  /** The consumer has taken `bytes` of the data it was handed. */
  giveBack(bytes: number): void {
    if (this.#closed) return;
    this.#host.giveBack(bytes);
    const announced = this.#receiveWindow.giveBack(bytes);
    if (announced > 0 && !this.#remoteEnded) this.#host.transport.write(windowUpdateFrame(this.id, announced));
  }

  /** For the connection: the windows or the transport have room again. */
  flush(): void {
    if (this.#closed) return;
    for (let first = this.#pending[0]; first !== undefined; first = this.#pending[0]) {
      first.at = this.#transmit(first.buffer, first.at, first.end);
      if (first.at < first.end) {
        this.#host.blocked.add(this);
        return;
      }
      this.#pending.shift();
    }
    if (this.#endWanted !== null) this.#sendEnd();
    else if (this.#host.transport.writable()) this.handler.writable();
    else this.#host.blocked.add(this);
  }

  /** For the connection: the peer has changed our window; false when it overflows. */
  widen(bytes: number, limitBytes: number): boolean {
    this.#sendWindowBytes += bytes;
    return this.#sendWindowBytes <= limitBytes;
  }

  /** For the connection: data arrived. The error code to reset the stream with, or 0. */
  receive(chunk: Buffer, flowBytes: number, ended: boolean): number {
    if (this.#remoteEnded) return ERROR_CODE.streamClosed;
    if (!this.#receiveWindow.spend(flowBytes)) return ERROR_CODE.flowControlError;
    if (flowBytes > chunk.length) this.giveBack(flowBytes - chunk.length);
    if (chunk.length > 0) this.handler.data(chunk);
    if (ended) this.receiveEnd();
    return 0;
  }

  /** For the connection: the peer ended its direction. */
  receiveEnd(): void {
    if (this.#closed || this.#remoteEnded) return;
    this.#remoteEnded = true;
    this.handler.end();
    if (this.#localEnded) this.#close();
  }

  /** For the connection: the stream was cut by the peer, or with the connection. */
  receiveReset(errorCode: number, unprocessed: boolean): void {
    if (this.#closed) return;
    this.#close();
    this.handler.reset(errorCode, unprocessed);
  }

  /** Sends what windows and transport allow; returns where it stopped. */
  #transmit(buffer: Buffer, start: number, end: number): number {
    const host = this.#host;
    let at = start;
    while (at < end && host.transport.writable()) {
      const allowed = Math.min(end - at, this.#sendWindowBytes, host.sendWindowBytes);
      if (allowed <= 0) break;
      const sent =
        allowed <= host.peerFrameBytesMax ? this.#transmitInPlace(buffer, at, allowed) : this.#transmitBatch(buffer, at, allowed);
      this.#sendWindowBytes -= sent;
      host.sendWindowBytes -= sent;
      at += sent;
    }
    return at;
  }

  #transmitInPlace(buffer: Buffer, at: number, bytes: number): number {
    const from = at - FRAME_HEADER_BYTES;
    writeFrameHeader(buffer, from, bytes, FRAME.data, 0, this.id);
    this.#host.transport.write(buffer.subarray(from, at + bytes));
    return bytes;
  }

  #transmitBatch(buffer: Buffer, start: number, bytes: number): number {
    let sent = 0;
    let filled = 0;
    while (sent < bytes && filled + FRAME_HEADER_BYTES < BATCH.length) {
      const piece = Math.min(bytes - sent, this.#host.peerFrameBytesMax, BATCH.length - filled - FRAME_HEADER_BYTES);
      writeFrameHeader(BATCH, filled, piece, FRAME.data, 0, this.id);
      buffer.copy(BATCH, filled + FRAME_HEADER_BYTES, start + sent, start + sent + piece);
      filled += FRAME_HEADER_BYTES + piece;
      sent += piece;
    }
    this.#host.transport.write(BATCH.subarray(0, filled));
    return sent;
  }

  #sendEnd(): void {
    this.#host.transport.write(endStreamFrame(this.id));
    this.#finishLocal();
  }

  #finishLocal(): void {
    this.#localEnded = true;
    const done = this.#endWanted;
    this.#endWanted = null;
    if (this.#remoteEnded) this.#close();
    done?.();
  }

  #close(): void {
    this.#closed = true;
    this.#pending = [];
    this.#host.blocked.delete(this);
    const held = this.#receiveWindow.heldBytes;
    if (held > 0) this.#host.giveBack(held);
    this.#host.closed(this);
  }
}

/** What happens on a connection, told to its owner. */
export type Http2Events = {
  /** The peer's first SETTINGS: it speaks HTTP/2, and its limits are known. */
  ready(): void;
  /** Server only: a new stream; the answer is its handler. */
  request(stream: Http2Stream, headers: readonly Header[], ended: boolean): StreamHandler;
  /** The peer wants no more new streams. */
  goaway(errorCode: number): void;
  pong(): void;
  /** A stream has ended; `Http2Connection.streams` no longer counts it. */
  streamClosed(): void;
  /** The peer broke the protocol; GOAWAY is written, every stream is reset. Close the transport. */
  failed(error: Http2Error): void;
};

/** Which side we are, what we announce, where bytes go and who is told. */
export type Http2Options = {
  role: 'client' | 'server';
  settings: Http2Settings;
  transport: Transport;
  events: Http2Events;
  nowMs: () => number;
};
