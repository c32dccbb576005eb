import type { Numbered } from '#model/effects/number-table.ts';
import { ERROR_CODE, FLAG, FRAME, FRAME_HEADER_BYTES } from './constants.ts';
import type { Header } from './field.ts';
import {
  DATA_FRAMES,
  type DataPart,
  endStreamFrame,
  headersFrames,
  type Pending,
  pendingBytes,
  pendingOf,
  rstStreamFrame,
  windowUpdateFrame,
  writeDataFrames,
  writeFrameHeader,
} from './frame-writer.ts';
import { BLOCK } from './hpack-encoder.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { StreamHandler, StreamHost, TrailerSource } from './roles.ts';

const NOTHING_MORE = (): void => {};

/** One HTTP/2 stream that carries bytes both ways. */
export class Http2Stream implements Numbered<Http2Stream> {
  readonly id: number;
  next: Http2Stream | null = null;
  handler: StreamHandler;
  /** Of its frames; one that came in two reads counts as two. */
  receivedBytes = 0;
  readonly #host: StreamHost;
  readonly #receiveWindow: ReceiveWindow;
  #sendWindowBytes: number;
  #pending: Pending[] | null = null;
  #endWanted: (() => void) | null = null;
  #trailers: TrailerSource | null = null;
  #localEnded = false;
  #remoteEnded = false;
  #closed = false;
  #answered = false;
  #grownBytes = 0;
  #sentBytes = 0;

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
    return this.#pending === null ? 0 : pendingBytes(this.#pending);
  }

  /** Of frames that have gone out, and of what waits to become some. */
  get sentBytes(): number {
    return this.#sentBytes + this.pendingBytes;
  }

  /** Bytes that windows and transport would let out now. */
  room(): number {
    if (this.#pending !== null || !this.#host.transport.writable()) return 0;
    return Math.max(0, Math.min(this.#sendWindowBytes, this.#host.sendWindowBytes));
  }

  /** Headers of ours have gone out. */
  get answered(): boolean {
    return this.#answered;
  }

  /** The peer sends no more bytes. */
  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  /** We send no more: the end has gone out, or waits behind bytes that do. */
  get localEnded(): boolean {
    return this.#localEnded || this.#endWanted !== null;
  }

  /** Request or response headers; `ended` ends our direction with them. */
  sendHeaders(headers: readonly Header[], ended: boolean): void {
    if (this.#closed || this.#localEnded) return;
    this.#host.encoder.block(headers);
    this.sendBlock(ended, true);
  }

  /** The same of what the connection's encoder has just put into BLOCK; interim responses do not `answer`. */
  sendBlock(ended: boolean, answers: boolean): void {
    if (this.#closed || this.#localEnded) return;
    this.#answered ||= answers;
    const { buffer, start, end } = BLOCK;
    if (end - start <= this.#host.peer.frameBytesMax) {
      const flags = FLAG.endHeaders | (ended ? FLAG.endStream : 0);
      writeFrameHeader(buffer, start - FRAME_HEADER_BYTES, end - start, FRAME.headers, flags, this.id);
      this.#put(buffer, start - FRAME_HEADER_BYTES, end);
    } else this.#put(headersFrames(this.id, buffer.subarray(start, end), ended, this.#host.peer.frameBytesMax));
    if (ended) this.#finishLocal();
  }

  /**
   * Sends `buffer[start, end)`. The nine bytes before `start` must be free: frame headers go there, and into
   * bytes already sent, so the range is overwritten. All of it is taken before the call returns.
   * False: wait for `writable` before sending more.
   */
  send(buffer: Buffer, start: number, end: number): boolean {
    if (this.#closed || this.localEnded) return true;
    const at = this.#pending === null ? this.#transmit(buffer, start, end, false, true) : start;
    return this.#keep(buffer, at, end);
  }

  /** As `send`, for bytes with no room before them, which stay as they are. `last`: our direction ends with them. */
  sendView(bytes: Buffer, last: boolean): boolean {
    if (this.#closed || this.localEnded) return true;
    if (last && bytes.length === 0) {
      this.end(NOTHING_MORE);
      return true;
    }
    const at = this.#pending === null ? this.#transmit(bytes, 0, bytes.length, last, false) : 0;
    if (last && at === bytes.length) {
      this.#finishLocal();
      return true;
    }
    if (last) this.#endWanted = NOTHING_MORE;
    return this.#keep(bytes, at, bytes.length);
  }

  /** Ends our direction after everything sent so far; `done` is called once it is on its way. */
  end(done: () => void): void {
    if (this.#closed || this.localEnded) return void done();
    this.#endWanted = done;
    if (this.#pending === null) this.#sendEnd();
  }

  /** As `end`, with trailers. */
  endWith(trailers: TrailerSource): void {
    if (this.#closed || this.localEnded) return;
    this.#trailers = trailers;
    this.end(NOTHING_MORE);
  }

  /** Cuts both directions. */
  reset(errorCode: number): void {
    if (this.#closed) return;
    this.#put(rstStreamFrame(this.id, errorCode));
    this.#close();
  }

  /** The consumer has taken `bytes` of the data it was handed. */
  giveBack(bytes: number): void {
    if (this.#closed) return;
    const host = this.#host;
    host.window.taken(bytes);
    const window = this.#receiveWindow;
    let announced = window.giveBack(bytes);
    if (announced === 0 || this.#remoteEnded) return;
    // Whoever takes what comes may be sent more at a time; who has stopped never gets here.
    const growth = host.window.growth(window.bytesMax);
    if (growth > 0) {
      this.#grownBytes += growth;
      window.grow(growth);
      announced += window.giveBack(0);
    }
    this.#put(windowUpdateFrame(this.id, announced));
  }

  /** For the connection: the windows or the transport have room again. */
  flush(): void {
    if (this.#closed) return;
    const pending = this.#pending ?? [];
    for (let first = pending[0]; first !== undefined; first = pending[0]) {
      const last = pending.length === 1 && this.#endWanted !== null && this.#trailers === null;
      first.at = this.#transmit(first.buffer, first.at, first.end, last, true);
      if (first.at < first.end) return void this.#host.blocked.add(this);
      pending.shift();
      if (last) return void this.#finishLocal();
    }
    this.#pending = null;
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
  receive(buffer: Buffer, start: number, end: number, flowBytes: number, ended: boolean): number {
    if (this.#remoteEnded) return ERROR_CODE.streamClosed;
    if (!this.#receiveWindow.spend(flowBytes)) return ERROR_CODE.flowControlError;
    this.receivedBytes += FRAME_HEADER_BYTES + flowBytes;
    const bytes = end - start;
    if (flowBytes > bytes) this.giveBack(flowBytes - bytes);
    if (bytes > 0) this.handler.data(buffer, start, end);
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

  /** Keeps what did not go; true when there was nothing to keep, and more can be sent. */
  #keep(buffer: Buffer, at: number, end: number): boolean {
    if (at === end && this.#host.transport.writable()) return true;
    if (at < end) {
      this.#pending ??= [];
      this.#pending.push(pendingOf(buffer, at, end));
    }
    this.#host.blocked.add(this);
    return false;
  }

  /** Sends what windows and transport allow; returns where it stopped. `spoils`: frame headers may go before `start`. */
  #transmit(buffer: Buffer, start: number, end: number, last: boolean, spoils: boolean): number {
    const host = this.#host;
    let at = start;
    while (at < end && host.transport.writable()) {
      const allowed = Math.min(end - at, this.#sendWindowBytes, host.sendWindowBytes);
      if (allowed <= 0) break;
      const sent =
        spoils && allowed <= host.peer.frameBytesMax
          ? this.#transmitInPlace(buffer, at, allowed, last && at + allowed === end)
          : this.#transmitBatch(buffer, { start: at, bytes: allowed, endAt: last ? end : -1 });
      this.#sendWindowBytes -= sent;
      host.sendWindowBytes -= sent;
      at += sent;
    }
    return at;
  }

  #transmitInPlace(buffer: Buffer, at: number, bytes: number, ends: boolean): number {
    const from = at - FRAME_HEADER_BYTES;
    writeFrameHeader(buffer, from, bytes, FRAME.data, ends ? FLAG.endStream : 0, this.id);
    this.#put(buffer, from, at + bytes);
    return bytes;
  }

  #transmitBatch(buffer: Buffer, part: DataPart): number {
    const { sent, filled } = writeDataFrames(this.id, buffer, part, this.#host.peer.frameBytesMax);
    this.#put(DATA_FRAMES, 0, filled);
    return sent;
  }

  #put(buffer: Buffer, start = 0, end: number = buffer.length): void {
    this.#sentBytes += end - start;
    this.#host.transport.write(buffer, start, end);
  }

  #sendEnd(): void {
    const trailers = this.#trailers;
    if (trailers === null) {
      this.#put(endStreamFrame(this.id));
      return void this.#finishLocal();
    }
    this.#trailers = null;
    trailers.encode(this.#host.encoder);
    this.sendBlock(true, true);
  }

  #finishLocal(): void {
    this.#localEnded = true;
    const done = this.#endWanted;
    this.#endWanted = null;
    if (this.#remoteEnded) this.#close();
    done?.();
    this.handler.finished?.();
  }

  #close(): void {
    this.#closed = true;
    this.#pending = null;
    const host = this.#host;
    host.blocked.delete(this);
    const held = this.#receiveWindow.heldBytes;
    if (held > 0) host.window.taken(held);
    host.window.shrink(this.#grownBytes);
    host.closed(this);
  }
}
