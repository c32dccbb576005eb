import net from 'node:net';
import type { Duplex } from 'node:stream';
import {
  type ByteStream,
  brokenBy,
  type Endpoint,
  FINISHED,
  HEADROOM_BYTES,
  mistakenReader,
  type StreamOver,
  type StreamReader,
} from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { IO } from '#model/settings/io.ts';
import { TRUNCATED } from '#platform/io/io.ts';
import { readDirectly } from './direct-read.ts';
import { cutOff, Outgoing } from './outgoing.ts';
import { Unread } from './unread.ts';

/** The one buffer that sockets are read into: its bytes are lent on before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(HEADROOM_BYTES + IO.readBytes);
const READ_AREA = READ_BUFFER.subarray(HEADROOM_BYTES);

/** What carries a TLS connection. */
export type Carrier = {
  readonly stream: NodeStream;
  /** It ended before TLS had said so. */
  readonly wasCut: boolean;
};

/** A socket of node:net or node:tls, or what else is a Duplex, as a ByteStream. */
export class NodeStream implements ByteStream {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly #socket: Duplex;
  readonly #mishaps: Mishaps;
  readonly #carrier: Carrier | null;
  #reader: StreamReader | null = null;
  #reading = false;
  #paused = true;
  readonly #unread = new Unread();
  #peerEnded = false;
  #endTold = false;
  #pumpPlanned = false;
  readonly #outgoing: Outgoing;
  #onEndSent: () => void = () => {};
  #error: Error | null = null;
  #broken: StreamOver | null = null;
  #over: StreamOver | 'cut' | null = null;
  #listeners: (() => void)[] = [];
  #onReset: (() => void) | null = null;

  constructor(socket: Duplex, ends: { remote: Endpoint; local: Endpoint }, mishaps: Mishaps, carrier: Carrier | null = null) {
    this.remote = ends.remote;
    this.local = ends.local;
    this.#socket = socket;
    this.#mishaps = mishaps;
    this.#carrier = carrier;
    const events = { room: () => this.#tell(() => this.#reader?.writable()) };
    this.#outgoing = new Outgoing(socket, events, () => carrier?.stream.pendingBytes ?? 0);
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => this.#onEnd());
    socket.on('finish', () => this.#onEndSent());
    socket.on('close', () => this.#onClose());
    if (socket.destroyed) queueMicrotask(() => this.#onClose());
    // TLS reads by itself: what it brings must not lie where the end of it would not be seen.
    if (carrier !== null) this.#beginReading();
  }

  get pendingBytes(): number {
    return this.#outgoing.bytes;
  }

  get isOver(): boolean {
    return this.#over !== null;
  }

  onOver(listener: () => void): void {
    if (this.isOver) listener();
    else this.#listeners.push(listener);
  }

  /** For TLS: what a `reset` from outside is to do from here on, when this stream is the carrier. */
  carry(onReset: (() => void) | null): void {
    this.#onReset = onReset;
  }

  read(reader: StreamReader): void {
    if (this.#over === 'cut') return;
    this.#reader = reader;
    this.#endTold = false;
    this.#paused = false;
    this.#plan();
  }

  /** The socket is read on, up to a bound: Node.js hears of ends and resets only while it reads. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused || this.#reader === null) return;
    this.#paused = false;
    this.#plan();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    return this.#outgoing.write(buffer, start, end);
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    return this.#outgoing.write(buffer, start, end);
  }

  end(): void {
    this.#outgoing.end();
  }

  /** Sends what this turn has written so far. */
  flush(): void {
    this.#outgoing.flush();
  }

  /** For TLS: as `end`, and calls `sent` when the peer is being told. */
  endWith(sent: () => void): void {
    this.#onEndSent = sent;
    this.end();
    this.flush();
  }

  reset(): void {
    if (this.#over !== null) this.#silence();
    else if (this.#onReset !== null) this.#onReset();
    else this.#cut('cut');
  }

  /** For TLS, which was told the end in both directions, or has no more to say: no reset is due. */
  close(): void {
    if (this.#over !== null) return;
    this.flush();
    this.#become('cut');
    this.#socket.destroy();
  }

  /** For TLS: what carries it broke. */
  breakOff(how: StreamOver): void {
    this.#broken ??= how;
    this.#socket.destroy();
  }

  #cut(over: StreamOver | 'cut'): void {
    this.#become(over);
    this.#carrier?.stream.reset();
    if (this.#carrier === null) cutOff(this.#socket);
    else this.#socket.destroy();
  }

  /** Nothing is delivered from inside of a call. */
  #plan(): void {
    if (this.#pumpPlanned) return;
    this.#pumpPlanned = true;
    queueMicrotask(this.#onPump);
  }

  readonly #onPump = (): void => {
    this.#pumpPlanned = false;
    while (this.#takes && this.#unread.length > 0) this.#unread.offer((buffer, start, end) => this.#offer(buffer, start, end));
    this.#settle();
    if (this.#over !== null || this.#reader === null) return;
    if (!this.#reading) this.#beginReading();
    this.#goOn();
  };

  /** Somebody takes bytes just now. */
  get #takes(): boolean {
    return !this.#paused && this.#reader !== null && (this.#over === null || this.#over === FINISHED);
  }

  #beginReading(): void {
    this.#reading = true;
    const socket = this.#socket;
    for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read()) this.#copied(chunk);
    const direct =
      socket instanceof net.Socket &&
      readDirectly(socket, READ_AREA, (bytes) => this.#arrived(READ_BUFFER, HEADROOM_BYTES, HEADROOM_BYTES + bytes));
    if (!direct) socket.on('data', (chunk: Buffer) => this.#copied(chunk));
    this.#goOn();
  }

  #goOn(): void {
    if (this.#unread.length < IO.readAheadBytes) this.#socket.resume();
  }

  #copied(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += READ_AREA.length) {
      const length = chunk.copy(READ_AREA, 0, at);
      if (!this.#arrived(READ_BUFFER, HEADROOM_BYTES, HEADROOM_BYTES + length)) this.#socket.pause();
    }
  }

  /** False: no more for now. */
  #arrived(buffer: Buffer, start: number, end: number): boolean {
    const taken = this.#takes && this.#unread.length === 0 ? this.#offer(buffer, start, end) : 0;
    if (this.#over === null) this.#unread.add(buffer, start + taken, end);
    return this.#unread.length < IO.readAheadBytes;
  }

  /** How many bytes the reader took. */
  #offer(buffer: Buffer, start: number, end: number): number {
    const reader = this.#reader;
    if (reader === null) return 0;
    try {
      const taken = reader.bytes(buffer, start, end);
      if (start + taken < end && this.#reader === reader) this.#paused = true;
      else if (start + taken < end) this.#plan();
      return taken;
    } catch (error) {
      this.#mistaken(error);
      return end - start;
    }
  }

  #onEnd(): void {
    // An end that TLS has not announced may be anybody's who can send a packet: what came before it is cut short.
    if (this.#carrier?.wasCut === true) {
      this.breakOff(TRUNCATED);
      return;
    }
    this.#peerEnded = true;
    this.#settle();
  }

  #onClose(): void {
    if (this.#over !== null) return;
    const how = this.#howItEnded();
    if (how.kind === 'reset') this.#carrier?.stream.reset();
    else this.#carrier?.stream.close();
    if (how !== FINISHED) this.#unread.drop();
    this.#become(how);
    this.#settle();
  }

  #howItEnded(): StreamOver {
    if (this.#broken !== null) return this.#broken;
    const error = this.#error;
    if (error === null) return this.#peerEnded && this.#outgoing.hasEnded ? FINISHED : brokenBy('ECONNRESET');
    return brokenBy(String(Reflect.get(error, 'code') ?? 'EIO'), error);
  }

  /** Tells what is due: the end after all bytes, then that it is over. */
  #settle(): void {
    const reader = this.#reader;
    if (reader === null || this.#over === 'cut') return;
    const over = this.#over;
    const isOrderly = over === null || over === FINISHED;
    if (isOrderly && this.#unread.length > 0) return;
    if (isOrderly && this.#peerEnded && !this.#endTold) {
      this.#endTold = true;
      this.#tell(() => reader.end());
    }
    // It may have been broken off, or handed over, by the reader.
    if (over === null || this.#over !== over || this.#reader !== reader) return;
    this.#reader = null;
    this.#tell(() => reader.over(over));
  }

  /** Nobody is told anything more. */
  #silence(): void {
    this.#over = 'cut';
    this.#reader = null;
    this.#unread.drop();
  }

  #become(over: StreamOver | 'cut'): void {
    this.#over = over;
    this.#outgoing.stop();
    if (over === 'cut') this.#silence();
    for (const listener of this.#listeners.splice(0)) listener();
  }

  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#mistaken(error);
    }
  }

  /** What a reader throws costs its stream, also one that was closed in order and whose reader has not heard all of it. */
  #mistaken(error: unknown): void {
    this.#mishaps.report('relay', error);
    if (this.#over === null) this.#cut(mistakenReader(error));
    else if (this.#over === FINISHED && this.#reader !== null) this.#over = mistakenReader(error);
    else return;
    this.#unread.drop();
    this.#plan();
  }
}
