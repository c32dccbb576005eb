import {
  type ByteStream,
  type Endpoint,
  FINISHED,
  HEADROOM_BYTES,
  mistakenReader,
  type StreamOver,
  type StreamReader,
  withHeadroom,
} from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import type { Refusal } from '#model/telemetry/close-cause.ts';
import { ERROR_CODE, errorCodeName } from './constants.ts';
import type { StreamHandler } from './roles.ts';
import type { Http2Stream } from './stream.ts';

/** Bytes that have no room for a frame's head in front are copied to here first. */
const COPY_BUFFER = Buffer.allocUnsafeSlow(HEADROOM_BYTES + TUNNEL.copyBytes);

/** What a tunnel needs of the connection that carries it. */
export type TunnelCarrier = {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly mishaps: Pick<Mishaps, 'report'>;
  /** Why we cut it; null: we did not. */
  readonly cutBy: Refusal | null;
};

/** Bytes `at` to `end`, with room in front. */
type Held = { readonly buffer: Buffer; at: number; readonly end: number };

/** The bytes of one CONNECT, extended or not: an HTTP/2 stream as a ByteStream. */
export class Tunnel implements ByteStream {
  /** For the HTTP/2 stream: what happens on it. */
  readonly handler: StreamHandler = new TunnelHandler(this);
  readonly #stream: Http2Stream;
  readonly #carrier: TunnelCarrier;
  #reader: StreamReader | null = null;
  #paused = false;
  /** Arrived and not taken: not given back to the peer's window either, which bounds it. */
  #held: Held[] = [];
  #peerEnded = false;
  #endTold = false;
  #localEnded = false;
  #endSent = false;
  /** Something was written that the peer had said it does not want. */
  #unwanted = false;
  #over: StreamOver | 'cut' | null = null;
  #planned = false;
  #listeners: (() => void)[] = [];

  constructor(stream: Http2Stream, carrier: TunnelCarrier) {
    this.#stream = stream;
    this.#carrier = carrier;
  }

  get remote(): Endpoint {
    return this.#carrier.remote;
  }

  get local(): Endpoint {
    return this.#carrier.local;
  }

  get pendingBytes(): number {
    return this.#stream.pendingBytes;
  }

  room(): number {
    return this.#stream.room();
  }

  get isOver(): boolean {
    return this.#over !== null;
  }

  onOver(listener: () => void): void {
    if (this.isOver) listener();
    else this.#listeners.push(listener);
  }

  read(reader: StreamReader): void {
    if (this.#over === 'cut') return;
    this.#reader = reader;
    this.#paused = false;
    this.#endTold = false;
    this.#plan();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#held.length > 0) this.#plan();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    let more = true;
    for (let at = start; at < end; at += TUNNEL.copyBytes) {
      const copied = buffer.copy(COPY_BUFFER, HEADROOM_BYTES, at, end);
      more = this.pass(COPY_BUFFER, HEADROOM_BYTES, HEADROOM_BYTES + copied);
    }
    return more;
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    if (this.#stream.closed && this.#over === null && !this.#localEnded) {
      this.#unwanted = true;
      this.#plan();
    }
    return this.#stream.send(buffer, start, end);
  }

  end(): void {
    if (this.#localEnded || this.#over !== null) return;
    this.#localEnded = true;
    this.#stream.end(this.#onEnded);
  }

  reset(): void {
    if (this.#over !== null) return;
    this.#stream.reset(ERROR_CODE.cancel);
    this.#become('cut');
    this.#reader = null;
  }

  /** For its handler. They lie in the buffer that the carrier was lent, behind the head of their frame. */
  arrived(buffer: Buffer, start: number, end: number): void {
    if (this.#over !== null) return;
    const at =
      this.#reader === null || this.#paused || this.#held.length > 0 ? start : this.#offer(this.#reader, buffer, start, end);
    if (at === end || this.#over !== null) return;
    const copy = withHeadroom(buffer, at, end);
    this.#held.push({ buffer: copy, at: HEADROOM_BYTES, end: copy.length });
  }

  /** For its handler: the peer ended its direction. */
  ended(): void {
    this.#peerEnded = true;
    this.#settle();
  }

  /** For its handler: the peer, or the loss of the connection, broke it off. */
  broken(errorCode: number): void {
    // It has said all it wanted, and wants no more: no loss but of what we would still write.
    if (errorCode === ERROR_CODE.noError && this.#peerEnded) this.#settle();
    else if (this.#carrier.cutBy !== null) this.#become({ kind: 'failed', code: 'ECONNABORTED', error: this.#carrier.cutBy });
    else this.#become({ kind: 'reset', code: errorCodeName(errorCode) });
  }

  /** For its handler: there is room again. */
  drained(): void {
    const reader = this.#reader;
    if (reader !== null) this.#guard(() => reader.writable());
  }

  readonly #onEnded = (): void => {
    this.#endSent = true;
    this.#plan();
  };

  /** Nothing is delivered from inside of a call: it comes right after. */
  #plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    queueMicrotask(this.#onPlan);
  }

  readonly #onPlan = (): void => {
    this.#planned = false;
    for (let next = this.#held[0]; next !== undefined && this.#reader !== null && !this.#paused; next = this.#held[0]) {
      next.at = this.#offer(this.#reader, next.buffer, next.at, next.end);
      if (next.at === next.end) this.#held.shift();
    }
    this.#settle();
  };

  /** Up to where the reader took them; less than all pauses the tunnel. */
  #offer(reader: StreamReader, buffer: Buffer, start: number, end: number): number {
    let taken = end - start;
    try {
      taken = reader.bytes(buffer, start, end);
    } catch (error) {
      this.#mistaken(error);
    }
    this.#stream.giveBack(taken);
    if (start + taken < end && this.#reader === reader) this.#paused = true;
    return start + taken;
  }

  /** Tells what is due: the end after all bytes, then that it is over. */
  #settle(): void {
    const reader = this.#reader;
    if (reader === null) return;
    if (this.#over === null && this.#held.length === 0) {
      if (this.#peerEnded && !this.#endTold) {
        this.#endTold = true;
        this.#guard(() => reader.end());
      }
      if (this.#unwanted) this.#become({ kind: 'reset', code: 'EPIPE' });
      else if (this.#peerEnded && this.#endSent) this.#become(FINISHED);
      return;
    }
    if (this.#over !== null && this.#over !== 'cut') this.#tellOver(reader, this.#over);
  }

  #become(over: StreamOver | 'cut'): void {
    if (this.#over !== null) return;
    this.#over = over;
    this.#held = [];
    for (const listener of this.#listeners) listener();
    this.#listeners = [];
    if (over !== 'cut' && this.#reader !== null) this.#tellOver(this.#reader, over);
  }

  #tellOver(reader: StreamReader, over: StreamOver): void {
    this.#reader = null;
    this.#guard(() => reader.over(over));
  }

  /** Others share the connection: what this tunnel's reader throws ends this tunnel. */
  #guard(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#mistaken(error);
    }
  }

  #mistaken(error: unknown): void {
    this.#carrier.mishaps.report('tunnel', error);
    if (this.#over !== null) return;
    this.#stream.reset(ERROR_CODE.cancel);
    this.#become(mistakenReader(error));
  }
}

/** Keeps the names of the two sides of a tunnel apart: what its peer does, and what its user does. */
class TunnelHandler implements StreamHandler {
  readonly #tunnel: Tunnel;

  constructor(tunnel: Tunnel) {
    this.#tunnel = tunnel;
  }

  response(): void {}

  data(buffer: Buffer, start: number, end: number): void {
    this.#tunnel.arrived(buffer, start, end);
  }

  end(): void {
    this.#tunnel.ended();
  }

  reset(errorCode: number): void {
    this.#tunnel.broken(errorCode);
  }

  writable(): void {
    this.#tunnel.drained();
  }
}
