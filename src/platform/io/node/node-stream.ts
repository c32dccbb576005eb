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
import { RELAY } from '#model/settings/tunnels.ts';
import { readDirectly } from './direct-read.ts';

/** The one buffer that sockets are read into: its bytes are lent on before the next read. */
const READ_BUFFER = Buffer.allocUnsafeSlow(HEADROOM_BYTES + IO.readBytes);
const READ_AREA = READ_BUFFER.subarray(HEADROOM_BYTES);

/** Bytes that a reader did not take yet, with room in front. */
type Rest = { readonly buffer: Buffer; at: number };

/** A socket of node:net or node:tls, or what else is a Duplex, as a ByteStream. */
export class NodeStream implements ByteStream {
  readonly remote: Endpoint;
  readonly local: Endpoint;
  readonly #socket: Duplex;
  readonly #mishaps: Mishaps;
  #reader: StreamReader | null = null;
  #reading = false;
  #paused = true;
  #rest: Rest | null = null;
  #peerEnded = false;
  #endTold = false;
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #flushPlanned = false;
  #pumpPlanned = false;
  /** `write` said false. */
  #blocked = false;
  #localEnded = false;
  #error: Error | null = null;
  #over: StreamOver | 'cut' | null = null;
  #listeners: (() => void)[] = [];
  #onReset: (() => void) | null = null;

  constructor(socket: Duplex, ends: { remote: Endpoint; local: Endpoint }, mishaps: Mishaps) {
    this.remote = ends.remote;
    this.local = ends.local;
    this.#socket = socket;
    this.#mishaps = mishaps;
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    socket.on('end', () => {
      this.#peerEnded = true;
      this.#settle();
    });
    socket.on('drain', () => this.#onRoom());
    socket.on('close', () => this.#onClose());
    if (socket.destroyed) queueMicrotask(() => this.#onClose());
  }

  get pendingBytes(): number {
    return this.#gatheredBytes + this.#socket.writableLength;
  }

  get isOver(): boolean {
    return this.#over !== null;
  }

  onOver(listener: () => void): void {
    if (this.isOver) listener();
    else this.#listeners.push(listener);
  }

  /** For TLS, which takes the socket over. All that is left to this object is to be reset: `onReset`. */
  release(onReset: () => void): Duplex {
    for (const event of ['error', 'end', 'drain', 'close']) this.#socket.removeAllListeners(event);
    this.#onReset = onReset;
    return this.#socket;
  }

  read(reader: StreamReader): void {
    if (this.#over === 'cut') return;
    this.#reader = reader;
    this.#endTold = false;
    this.#paused = false;
    this.#plan();
  }

  pause(): void {
    this.#paused = true;
    if (this.#reading) this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.#reader === null) return;
    this.#paused = false;
    this.#plan();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.#over !== null || this.#localEnded || end <= start) return true;
    this.#gathered.push(Buffer.from(buffer.subarray(start, end)));
    this.#gatheredBytes += end - start;
    if (this.#gatheredBytes >= RELAY.gatherBytes) this.#flush();
    else if (!this.#flushPlanned) {
      this.#flushPlanned = true;
      setImmediate(this.#onFlush);
    }
    if (this.#socket.writableLength < IO.pendingBytesMax) return true;
    this.#blocked = true;
    return false;
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    return this.write(buffer, start, end);
  }

  end(): void {
    if (this.#localEnded || this.#over !== null) return;
    this.#flush();
    this.#localEnded = true;
    this.#socket.end();
  }

  reset(): void {
    if (this.#over !== null) return;
    this.#become('cut');
    if (this.#onReset === null) this.#cut();
    else this.#onReset();
  }

  readonly #onFlush = (): void => {
    this.#flushPlanned = false;
    if (this.#over === null) this.#flush();
    if (this.#blocked && !this.#socket.writableNeedDrain) this.#onRoom();
  };

  #flush(): void {
    if (this.#gatheredBytes === 0 || this.#localEnded) return;
    const [only] = this.#gathered;
    const bytes = this.#gathered.length === 1 && only !== undefined ? only : Buffer.concat(this.#gathered, this.#gatheredBytes);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    this.#socket.write(bytes);
  }

  /** Node.js loses the descriptor of a socket that is reset while its end is still being sent; TLS and unix sockets have no resets. */
  #cut(): void {
    const socket = this.#socket;
    try {
      if (socket.writableEnded && !socket.writableFinished) socket.destroy();
      else if ('resetAndDestroy' in socket && typeof socket.resetAndDestroy === 'function') socket.resetAndDestroy();
      else socket.destroy();
    } catch {
      socket.destroy();
    }
  }

  /** Nothing is delivered from inside of a call: it comes right after. */
  #plan(): void {
    if (this.#pumpPlanned) return;
    this.#pumpPlanned = true;
    queueMicrotask(this.#onPump);
  }

  readonly #onPump = (): void => {
    this.#pumpPlanned = false;
    const rest = this.#rest;
    if (rest !== null && !this.#paused && this.#over === null) {
      this.#rest = null;
      this.#offer(rest.buffer, rest.at, rest.buffer.length);
    }
    this.#settle();
    if (this.#paused || this.#rest !== null || this.#over !== null || this.#reader === null) return;
    if (!this.#reading) this.#beginReading();
    this.#socket.resume();
  };

  #beginReading(): void {
    this.#reading = true;
    const socket = this.#socket;
    for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read()) this.#copied(chunk);
    const direct =
      socket instanceof net.Socket &&
      readDirectly(socket, READ_AREA, (bytes) => {
        this.#arrived(READ_BUFFER, HEADROOM_BYTES, HEADROOM_BYTES + bytes);
        return !this.#paused;
      });
    if (!direct) socket.on('data', (chunk: Buffer) => this.#copied(chunk));
  }

  #copied(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; at += READ_AREA.length) {
      const length = chunk.copy(READ_AREA, 0, at);
      this.#arrived(READ_BUFFER, HEADROOM_BYTES, HEADROOM_BYTES + length);
    }
  }

  #arrived(buffer: Buffer, start: number, end: number): void {
    if (this.#paused || this.#rest !== null) this.#keep(buffer, start, end);
    else this.#offer(buffer, start, end);
  }

  #offer(buffer: Buffer, start: number, end: number): void {
    const reader = this.#reader;
    if (reader === null) return;
    let taken = end - start;
    try {
      taken = reader.bytes(buffer, start, end);
    } catch (error) {
      this.#mistaken(error);
    }
    if (start + taken >= end || this.#over !== null) return;
    if (this.#reader === reader) this.pause();
    this.#keep(buffer, start + taken, end);
  }

  #keep(buffer: Buffer, start: number, end: number): void {
    const before = this.#rest;
    const held = before === null ? 0 : before.buffer.length - before.at;
    const kept = Buffer.allocUnsafeSlow(HEADROOM_BYTES + held + end - start);
    before?.buffer.copy(kept, HEADROOM_BYTES, before.at);
    buffer.copy(kept, HEADROOM_BYTES + held, start, end);
    this.#rest = { buffer: kept, at: HEADROOM_BYTES };
  }

  #onRoom(): void {
    if (!this.#blocked || this.#over !== null) return;
    this.#blocked = false;
    const reader = this.#reader;
    if (reader !== null) this.#tell(() => reader.writable());
  }

  #onClose(): void {
    if (this.#over !== null) return;
    this.#become(this.#howItEnded());
    this.#settle();
  }

  #howItEnded(): StreamOver {
    const error = this.#error;
    if (error === null) {
      return this.#peerEnded && this.#localEnded ? FINISHED : brokenBy('ECONNRESET');
    }
    return brokenBy(String(Reflect.get(error, 'code') ?? 'EIO'), error);
  }

  /** Tells what is due: the end after all bytes, then that it is over. */
  #settle(): void {
    const reader = this.#reader;
    if (reader === null || this.#over === 'cut') return;
    const over = this.#over;
    if (this.#rest !== null && (over === null || over.kind === 'finished')) return;
    if (this.#peerEnded && !this.#endTold && (over === null || over.kind === 'finished')) {
      this.#endTold = true;
      this.#tell(() => reader.end());
    }
    if (over === null || this.#over !== over) return;
    this.#reader = null;
    this.#tell(() => reader.over(over));
  }

  #become(over: StreamOver | 'cut'): void {
    this.#over = over;
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (over === 'cut') {
      this.#reader = null;
      this.#rest = null;
    }
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  #tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#mistaken(error);
    }
  }

  /** What a reader throws costs its stream. */
  #mistaken(error: unknown): void {
    this.#mishaps.report('relay', error);
    if (this.#over !== null) return;
    this.#become(mistakenReader(error));
    this.#rest = null;
    this.#cut();
    this.#settle();
  }
}
