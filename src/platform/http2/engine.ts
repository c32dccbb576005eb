import type { Duplex } from 'node:stream';
import { brokenBy, FINISHED, HEADROOM_BYTES, type StreamOver, type StreamReader } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { RELAY } from '#model/settings/tunnels.ts';
import type { Http2Engine } from '#protocol/http/message.ts';
import { connectHttp2 } from '#protocol/http/v2/client-connection.ts';
import type { MessageBytes } from '#protocol/http/v2/message-connection.ts';
import { acceptHttp2 } from '#protocol/http/v2/server-connection.ts';

const FIRST_OUT_BYTES = RELAY.smallBytesMax;
const OUT_BYTES_MAX = RELAY.gatherBytes / 4;

/** Those that have written in this turn of the loop. */
let unflushed: DuplexBytes[] = [];

function flushAll(): void {
  const streams = unflushed;
  unflushed = [];
  for (const stream of streams) stream.flush();
}

/**
 * A Node stream as the byte stream that our codecs speak over, for as long as those who open connections hand out Node
 * streams. Node's chunks are nobody else's, but have no room in front: they are copied once, into a buffer of their own, so
 * that views of it stay what they are. What one turn writes leaves at its end, in one piece.
 */
class DuplexBytes implements MessageBytes {
  readonly #duplex: Duplex;
  #reader: StreamReader | null = null;
  #paused = false;
  /** Came, and was not taken. */
  #rest: { buffer: Buffer; start: number; end: number } | null = null;
  #endHeld = false;
  #out: Buffer | null = null;
  #outBytes = 0;
  #ending = false;
  #error: NodeJS.ErrnoException | null = null;
  #over = false;
  #waitsForRoom = false;
  readonly #listeners: (() => void)[] = [];

  /** The Node stream must allow half-open. */
  constructor(duplex: Duplex) {
    this.#duplex = duplex;
    duplex.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error;
    });
    duplex.on('close', () => this.#onClose());
  }

  get isOver(): boolean {
    return this.#over;
  }

  get pendingBytes(): number {
    return this.#outBytes + this.#duplex.writableLength;
  }

  read(reader: StreamReader): void {
    const first = this.#reader === null;
    this.#reader = reader;
    if (!first) {
      this.resume();
      return;
    }
    this.#duplex.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#duplex.on('end', () => this.#onEnd());
    this.#duplex.on('drain', () => this.#onDrain());
    this.#duplex.resume();
  }

  pause(): void {
    this.#paused = true;
    this.#duplex.pause();
  }

  resume(): void {
    this.#paused = false;
    // Nothing is delivered from inside of a call.
    if (this.#rest !== null || this.#endHeld) setImmediate(() => this.#offer());
    else this.#duplex.resume();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (this.#over || this.#ending) return true;
    let at = start;
    while (at < end) {
      const room = this.#room(end - at);
      const taken = Math.min(end - at, room.length - this.#outBytes);
      buffer.copy(room, this.#outBytes, at, at + taken);
      this.#outBytes += taken;
      at += taken;
      if (this.#outBytes === OUT_BYTES_MAX) this.flush();
    }
    if (this.#duplex.writableLength + this.#outBytes < RELAY.gatherBytes) return true;
    this.#waitsForRoom = true;
    return false;
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    return this.write(buffer, start, end);
  }

  end(): void {
    if (this.#ending) return;
    this.flush();
    this.#ending = true;
    this.#duplex.end();
  }

  reset(): void {
    this.#reader = null;
    this.#outBytes = 0;
    this.#duplex.destroy();
  }

  onOver(listener: () => void): void {
    if (this.#over) listener();
    else this.#listeners.push(listener);
  }

  /** Hands on what was gathered. */
  flush(): void {
    const out = this.#out;
    const bytes = this.#outBytes;
    if (out === null || bytes === 0) return;
    this.#out = null;
    this.#outBytes = 0;
    if (this.#duplex.writable) this.#duplex.write(bytes === out.length ? out : out.subarray(0, bytes));
    if (this.#waitsForRoom && !this.#duplex.writableNeedDrain) setImmediate(() => this.#onDrain());
  }

  /** Where more is gathered: small at first, as most turns write little. */
  #room(wanted: number): Buffer {
    let out = this.#out;
    if (out === null) {
      if (this.#outBytes === 0) this.#announce();
      out = Buffer.allocUnsafe(Math.min(OUT_BYTES_MAX, Math.max(FIRST_OUT_BYTES, wanted)));
    } else if (out.length - this.#outBytes < wanted && out.length < OUT_BYTES_MAX) {
      const larger = Buffer.allocUnsafe(Math.min(OUT_BYTES_MAX, Math.max(out.length * 2, this.#outBytes + wanted)));
      out.copy(larger, 0, 0, this.#outBytes);
      out = larger;
    }
    this.#out = out;
    return out;
  }

  #announce(): void {
    if (unflushed.length === 0) setImmediate(flushAll);
    unflushed.push(this);
  }

  #onData(chunk: Buffer): void {
    const buffer = Buffer.allocUnsafe(HEADROOM_BYTES + chunk.length);
    chunk.copy(buffer, HEADROOM_BYTES);
    this.#rest = { buffer, start: HEADROOM_BYTES, end: buffer.length };
    this.#offer();
  }

  #offer(): void {
    const rest = this.#rest;
    const reader = this.#reader;
    if (this.#over || this.#paused || reader === null) return;
    if (rest !== null) {
      this.#rest = null;
      rest.start += reader.bytes(rest.buffer, rest.start, rest.end);
      if (rest.start < rest.end) {
        this.#rest = rest;
        this.pause();
        return;
      }
    }
    if (this.#endHeld && !this.#paused) {
      this.#endHeld = false;
      this.#reader?.end();
    } else if (!this.#paused) this.#duplex.resume();
  }

  #onEnd(): void {
    if (this.#rest !== null || this.#paused) this.#endHeld = true;
    else this.#reader?.end();
  }

  #onDrain(): void {
    if (!this.#waitsForRoom || this.#over) return;
    this.#waitsForRoom = false;
    this.#reader?.writable();
  }

  #onClose(): void {
    if (this.#over) return;
    this.#over = true;
    this.#reader?.over(this.#how());
    this.#reader = null;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  #how(): StreamOver {
    const error = this.#error;
    if (error === null) return this.#duplex.readableEnded ? FINISHED : brokenBy('ECONNRESET');
    return brokenBy(error.code ?? 'EIO', error);
  }
}

/** HTTP/2 of waypoints, by the codec that carries tunnels as well (protocol/http/v2), over Node streams. */
export function ownHttp2(clock: Clock): Http2Engine {
  return {
    accept: (stream, handler) => acceptHttp2(new DuplexBytes(stream), handler, clock),
    connect: (stream, owner) => connectHttp2(new DuplexBytes(stream), owner, clock),
  };
}
