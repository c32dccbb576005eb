import { Duplex } from 'node:stream';
import type { StreamOver } from '#model/effects/byte-stream.ts';
import type { Carrier, NodeStream } from './node-stream.ts';

/**
 * What node:tls is given to write records to and read them from. Given the socket itself it would not tell an end that the
 * peer announced from one that somebody made in between, would let no reset through, and would keep the key agreement to itself.
 */
export class Wire extends Duplex implements Carrier {
  readonly stream: NodeStream;
  wasCut = false;
  #secured: Duplex | null = null;
  #waiting: (() => void) | null = null;
  #broken: (how: StreamOver) => void = () => {};
  readonly #serverWrites: boolean;
  /** The first bytes of the server, of which its hello is told. */
  #hello: Buffer | null = Buffer.alloc(0);

  constructor(stream: NodeStream, role: 'client' | 'server') {
    super({ allowHalfOpen: true });
    this.stream = stream;
    this.#serverWrites = role === 'server';
    this.on('error', () => {}); // whatever it was is told through `onBroken`
    this.on('end', () => {
      this.wasCut = this.#secured === null || !knowsEnd(this.#secured);
    });
    stream.read({
      bytes: (buffer, start, end) => {
        if (!this.#serverWrites) this.#overhear(buffer.subarray(start, end));
        if (!this.push(Buffer.from(buffer.subarray(start, end)))) stream.pause();
        return end - start;
      },
      end: () => this.push(null),
      writable: () => this.#release(),
      over: (how) => this.#broken(how),
    });
    stream.pause();
  }

  /** The TLS socket on top of it. */
  carries(socket: Duplex): void {
    this.#secured = socket;
  }

  /** Who hears how the carrier came to be over; not after this has been destroyed. */
  onBroken(broken: (how: StreamOver) => void): void {
    this.#broken = broken;
  }

  /** The key agreement that the server's hello names; empty before that. */
  get group(): string {
    const hello = this.#hello;
    this.#hello = null;
    return hello === null ? '' : groupOf(hello);
  }

  override _read(): void {
    this.stream.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#serverWrites) this.#overhear(chunk);
    const hasRoom = this.stream.write(chunk, 0, chunk.length);
    this.stream.flush(); // TLS has gathered already
    if (hasRoom) done();
    else this.#waiting = done;
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'utf8', done);
  }

  override _final(done: () => void): void {
    if (this.stream.isOver) done();
    else this.stream.endWith(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#release();
    done(error);
  }

  #release(): void {
    const done = this.#waiting;
    this.#waiting = null;
    done?.();
  }

  #overhear(bytes: Buffer): void {
    if (this.#hello !== null && this.#hello.length < HELLOS_BYTES_MAX) this.#hello = Buffer.concat([this.#hello, bytes]);
  }
}

/** It has been told of an end, which its readers hear of after all bytes: Node.js has no public word for it. */
function knowsEnd(socket: Duplex): boolean {
  const state: unknown = Reflect.get(socket, '_readableState');
  return typeof state === 'object' && state !== null && Reflect.get(state, 'ended') === true;
}

/** Fixed by RFC 8446 5.1: two records at the most hold the server's hellos, the first of which may ask for another try. */
const HELLOS_BYTES_MAX = 16_384;
const RECORD_HEAD_BYTES = 5;
const HANDSHAKE = 22;
const SERVER_HELLO = 2;
const KEY_SHARE = 51;
/** From the start of a ServerHello to the length of its session id. */
const SESSION_ID_AT = 38;
const GROUPS: ReadonlyMap<number, string> = new Map([
  [0x11ec, 'X25519MLKEM768'],
  [29, 'X25519'],
  [23, 'P-256'],
  [24, 'P-384'],
]);

/** The group of the last ServerHello at the head of what a server sent (RFC 8446 4.1.3). */
function groupOf(bytes: Buffer): string {
  let group = '';
  for (let at = 0; at + RECORD_HEAD_BYTES < bytes.length; ) {
    const length = bytes.readUInt16BE(at + 3);
    const record = bytes.subarray(at + RECORD_HEAD_BYTES, at + RECORD_HEAD_BYTES + length);
    if (bytes[at] === HANDSHAKE && record[0] === SERVER_HELLO) group = keyShareOf(record) ?? group;
    at += RECORD_HEAD_BYTES + length;
  }
  return group;
}

function keyShareOf(hello: Buffer): string | null {
  // Behind the session id stand the cipher suite, the compression and the length of the extensions.
  let at = SESSION_ID_AT + 1 + (hello[SESSION_ID_AT] ?? 0) + 5;
  while (at + 6 <= hello.length) {
    if (hello.readUInt16BE(at) === KEY_SHARE) return GROUPS.get(hello.readUInt16BE(at + 4)) ?? null;
    at += 4 + hello.readUInt16BE(at + 2);
  }
  return null;
}
