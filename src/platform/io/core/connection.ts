import {
  type ByteStream,
  type Endpoint,
  FINISHED,
  HEADROOM_BYTES,
  mistakenReader,
  NOWHERE,
  type StreamOver,
  type StreamReader,
  withHeadroom,
} from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import type { Secured, SecureStream } from '#platform/io/io.ts';
import type { Handshake, Shaken } from '#platform/io/tls/handshake.ts';
import type { Channel } from './channel.ts';
import { type Loop, READY, type Task, type Watch, type Watcher } from './loop.ts';
import type { ChunkPool } from './outgoing.ts';
import { Sender } from './sender.ts';

/** What connections of one loop share. */
export type ConnectionHost = { readonly loop: Loop; readonly chunks: ChunkPool; readonly mishaps: Mishaps };

/** A connected descriptor as a ByteStream. */
export class Connection implements ByteStream, Watcher {
  readonly remote: Endpoint;
  readonly fd: number;
  #local: Endpoint | null = null;
  readonly #host: ConnectionHost;
  readonly #findLocal: (fd: number) => Endpoint;
  #channel: Channel;
  #watch: Watch | null = null;
  #reader: StreamReader | null = null;
  #paused = false;
  /** Bytes that a reader did not take yet, with room in front. */
  #rest: Buffer | null = null;
  #peerEnded = false;
  #endTold = false;
  readonly #sender: Sender;
  #pumpPlanned = false;
  #over: StreamOver | 'cut' | null = null;
  #handshake: Handshake | null = null;
  #listeners: (() => void)[] = [];
  readonly #pump: Task = { run: () => this.#onPump() };

  constructor(host: ConnectionHost, fd: number, channel: Channel, ends: { remote: Endpoint; local(fd: number): Endpoint }) {
    this.#host = host;
    this.fd = fd;
    this.#channel = channel;
    this.remote = ends.remote;
    this.#findLocal = ends.local;
    this.#sender = new Sender(host, channel, this);
  }

  /** Asked for when needed: it costs a call. */
  get local(): Endpoint {
    this.#local ??= this.#over === null ? this.#findLocal(this.fd) : NOWHERE;
    return this.#local;
  }

  get pendingBytes(): number {
    return this.#sender.bytes;
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
    this.listen();
  }

  resume(): void {
    if (!this.#paused || this.#reader === null) return;
    this.#paused = false;
    this.#plan();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    return this.#over !== null || this.#sender.write(buffer, start, end);
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    return this.write(buffer, start, end);
  }

  end(): void {
    if (this.#over === null) this.#sender.end();
  }

  reset(): void {
    if (this.#over !== null) return;
    this.#host.loop.calls.resetOnClose(this.fd);
    this.#become('cut');
    this.#handshake?.abandon();
  }

  /** TLS begins on this connection, from which nothing was read. */
  shake(handshake: Handshake): void {
    this.#handshake = handshake;
    handshake.step();
  }

  /** TLS has begun, and the secure connection is the same object; or it has not, and this one is over. */
  shaken(shaken: Shaken): Secured {
    this.#handshake = null;
    if (shaken.kind !== 'open') {
      if (this.#over === null) this.#become('cut');
      return shaken;
    }
    this.#channel = shaken.channel;
    this.#sender.channel = shaken.channel;
    this.listen();
    const { peerChain, group } = shaken;
    return { kind: 'open', stream: Object.assign(this, { peerChain, group }) satisfies SecureStream };
  }

  /** For the loop. */
  ready(events: number): void {
    if (this.#over !== null) return;
    if (this.#handshake !== null) {
      this.#handshake.step();
      return;
    }
    if ((events & READY.write) !== 0) this.#sender.run();
    if (this.#over === null && (events & READY.error) !== 0) this.fail(-this.#host.loop.calls.takeError(this.fd));
    if (this.#over !== null) return;
    if ((events & (READY.read | READY.hangUp | READY.error)) === 0) return;
    if (this.#paused || this.#reader === null || this.#peerEnded) this.#hungUp();
    else this.#receive();
  }

  /** Both directions ended while nobody reads: epoll would tell it for ever, and there is nothing to lose by waiting. */
  #hungUp(): void {
    if (this.#watch === null) return;
    this.#host.loop.forget(this.#watch);
    this.#watch = null;
  }

  #receive(): void {
    const { input } = this.#host.loop;
    const room = input.length - HEADROOM_BYTES;
    let filled = 0;
    let result = 0;
    do {
      result = this.#channel.receive(input, HEADROOM_BYTES + filled, room - filled);
      if (result > 0) filled += result;
    } while ((result > 0 && filled < room && this.#channel.readsOn(filled)) || result === -ERRNO.interrupted);
    if (filled > 0) this.#offer(input.buffer, HEADROOM_BYTES, HEADROOM_BYTES + filled);
    if (this.#over !== null) return;
    if (result === 0) {
      this.#peerEnded = true;
      this.listen();
      this.#settle();
    } else if (result < 0 && result !== -ERRNO.again) this.fail(result);
    else if (this.#channel.hasMore()) this.#plan();
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
    this.#rest = withHeadroom(buffer, start + taken, end);
  }

  /** Nothing is delivered from inside of a call. */
  #plan(): void {
    if (this.#pumpPlanned) return;
    this.#pumpPlanned = true;
    this.#host.loop.soon(this.#pump);
  }

  #onPump(): void {
    this.#pumpPlanned = false;
    if (this.#over === 'cut') return;
    const rest = this.#rest;
    if (rest !== null && this.#over === null && !this.#paused) {
      this.#rest = null;
      this.#offer(rest, HEADROOM_BYTES, rest.length);
    }
    this.#settle();
    if (this.#over !== null || this.#rest !== null || this.#paused || this.#reader === null) return;
    this.listen();
    if (!this.#peerEnded && this.#channel.hasMore()) this.#receive();
  }

  /** Waits for these events only. */
  await(events: number): void {
    if (this.#watch !== null) {
      this.#host.loop.change(this.#watch, events);
      return;
    }
    const watch = this.#host.loop.watch(this.fd, events, this);
    if (typeof watch === 'number') this.fail(watch);
    else this.#watch = watch;
  }

  /** Waits for what there is somebody to wait for. */
  listen(): void {
    if (this.#over !== null || this.#handshake !== null) return;
    const reads = this.#reader !== null && !this.#paused && !this.#peerEnded && this.#rest === null;
    const events = (reads ? READY.read : 0) | (this.#sender.isWaiting ? READY.write : 0);
    if (this.#watch === null && events === 0 && this.#reader === null) return; // accepted, and not read yet: its news can wait
    this.await(events);
  }

  /** Tells what is due: the end after all bytes, then that it is over. */
  #settle(): void {
    const reader = this.#reader;
    if (reader === null || this.#over === 'cut') return;
    if (this.#over === null && this.#rest === null) {
      if (this.#peerEnded && !this.#endTold) {
        this.#endTold = true;
        this.#tell(() => reader.end());
      }
      if (this.#over === null && this.#peerEnded && this.#endTold && this.#sender.endSent) this.#become(FINISHED);
    }
    const over = this.#over;
    if (over === null || this.#reader === null) return;
    this.#reader = null;
    this.#tell(() => reader.over(over));
  }

  /** For its sender: there is room again. */
  hasRoom(): void {
    const reader = this.#reader;
    if (reader !== null) this.#host.loop.soon({ run: () => this.#over === null && this.#tell(() => reader.writable()) });
  }

  /** For its sender: our direction has ended. */
  hasEnded(): void {
    if (this.#peerEnded) this.#plan();
  }

  /** `result`: a negative errno; 0: nothing failed. */
  fail(result: number): void {
    if (this.#over === null && result !== 0) this.#breakOff(this.#channel.broken(result));
  }

  #breakOff(over: StreamOver): void {
    if (this.#over !== null) return;
    this.#host.loop.calls.resetOnClose(this.fd); // the peer must not take it for an end
    this.#become(over);
    this.#rest = null;
    this.#plan();
  }

  /** Gives the descriptor back. */
  #become(over: StreamOver | 'cut'): void {
    this.#local ??= NOWHERE;
    this.#over = over;
    if (this.#watch !== null) this.#host.loop.forget(this.#watch);
    this.#watch = null;
    this.#channel.free();
    this.#host.loop.calls.close(this.fd);
    this.#sender.clear();
    if (over === 'cut') {
      this.#reader = null;
      this.#rest = null;
    }
    for (const listener of this.#listeners.splice(0)) listener();
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
    this.#host.mishaps.report('relay', error);
    this.#breakOff(mistakenReader(error));
  }
}
