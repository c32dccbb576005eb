import {
  type ByteStream,
  type Endpoint,
  FINISHED,
  mistakenReader,
  NOWHERE,
  type StreamOver,
  type StreamReader,
} from '#model/effects/byte-stream.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Secured, SecureStream } from '#platform/io/io.ts';
import type { Handshake, Shaken } from '#platform/io/tls/handshake.ts';
import type { Channel } from './channel.ts';
import { closeLingering, type LingerHost } from './linger.ts';
import { READY, type Watch, type Watcher } from './loop.ts';
import type { ChunkPool } from './outgoing.ts';
import { Receiver, type ReceiverOwner } from './receiver.ts';
import { Sender, type SenderOwner } from './sender.ts';

/** What connections of one loop share. */
export type ConnectionHost = LingerHost & { readonly chunks: ChunkPool; readonly mishaps: Mishaps };

/** A connected descriptor as a ByteStream. */
export class Connection implements ByteStream, Watcher, ReceiverOwner, SenderOwner {
  readonly remote: Endpoint;
  readonly fd: number;
  #local: Endpoint | null = null;
  readonly #host: ConnectionHost;
  readonly #findLocal: (fd: number) => Endpoint;
  #channel: Channel;
  #watch: Watch | null = null;
  readonly #receiver: Receiver;
  readonly #sender: Sender;
  #roomPlanned = false;
  #isDead = false;
  /** The peer's end is not waited for. */
  #leaves = false;
  #over: StreamOver | 'cut' | null = null;
  #handshake: Handshake | null = null;
  #listeners: (() => void)[] = [];

  constructor(host: ConnectionHost, fd: number, channel: Channel, ends: { remote: Endpoint; local(fd: number): Endpoint }) {
    this.#host = host;
    this.fd = fd;
    this.#channel = channel;
    this.remote = ends.remote;
    this.#findLocal = ends.local;
    this.#receiver = new Receiver(host.loop, channel, this);
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

  /** Traffic of a workload comes from its address, whether it is its app's or, from another node, its agent's. */
  get owner(): string {
    return this.remote.ip;
  }

  /** For its receiver. */
  get ending(): StreamOver | 'cut' | null {
    return this.#over;
  }

  onOver(listener: () => void): void {
    if (this.isOver) listener();
    else this.#listeners.push(listener);
  }

  read(reader: StreamReader): void {
    if (this.#over !== 'cut') this.#receiver.read(reader);
  }

  pause(): void {
    this.#receiver.pause();
  }

  resume(): void {
    this.#receiver.resume();
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    return this.#over !== null || this.#sender.write(buffer, start, end);
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    return this.write(buffer, start, end);
  }

  end(): void {
    if (this.#over === null) this.#sender.end(false);
  }

  leave(): void {
    if (this.#over !== null) return;
    this.#leaves = true;
    if (this.#sender.endSent) this.hasEnded();
    else this.#sender.end(true);
  }

  reset(): void {
    if (this.#over !== null) {
      this.#over = 'cut'; // perhaps it has not been told yet
      this.#receiver.silence();
      return;
    }
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
      if (this.#over === null) this.#become('cut', shaken.kind === 'refused' && shaken.by === 'us');
      return shaken;
    }
    this.#channel = shaken.channel;
    this.#receiver.channel = shaken.channel;
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
    if (this.#over === null && (events & READY.error) !== 0) this.#brokenByKernel(this.#host.loop.calls.takeError(this.fd));
    if (this.#over !== null) return;
    if ((events & (READY.read | READY.peerEnd | READY.hangUp | READY.error)) === 0 || this.#receiver.ready()) return;
    if ((events & (READY.hangUp | READY.error)) !== 0) this.#hungUp();
  }

  /** Reset, or given up: the socket is closed in all but name, and nobody is left to be told. */
  #brokenByKernel(errno: number): void {
    this.#isDead = errno !== 0;
    this.fail(-errno);
  }

  /** Both directions ended while nobody reads: epoll would tell it for ever, and there is nothing to lose by waiting. */
  #hungUp(): void {
    if (this.#watch === null) return;
    this.#host.loop.forget(this.#watch);
    this.#watch = null;
  }

  /** Waits for these events only. */
  await(events: number): void {
    if (this.#watch !== null) {
      this.fail(Math.min(0, this.#host.loop.change(this.#watch, events)));
      return;
    }
    const watch = this.#host.loop.watch(this.fd, events, this);
    if (typeof watch === 'number') this.fail(watch);
    else this.#watch = watch;
  }

  /** Waits for what there is somebody to wait for. */
  listen(): void {
    if (this.#over !== null || this.#handshake !== null) return;
    const events = this.#receiver.awaits | (this.#sender.isWaiting ? READY.write : 0);
    // Accepted, and not read yet: its news can wait.
    if (this.#watch === null && events === 0 && this.#receiver.reader === null) return;
    this.await(events);
  }

  /** For its receiver. */
  peerEnded(): void {
    if (this.#over === null && this.#sender.endSent) this.#become(FINISHED);
  }

  /** For its sender: there is room again. */
  hasRoom(): void {
    if (this.#roomPlanned) return;
    this.#roomPlanned = true;
    const { loop } = this.#host;
    const task = { run: () => this.#tellRoom() };
    if (loop.isFull) loop.inTurn(this.owner, task);
    else loop.soon(task);
  }

  #tellRoom(): void {
    this.#roomPlanned = false;
    const { reader } = this.#receiver;
    if (this.#over === null && reader !== null && !this.#sender.isFull) this.#receiver.tell(() => reader.writable());
  }

  /** For its sender: our direction has ended. */
  hasEnded(): void {
    if (this.#leaves && this.#over === null) this.#become(FINISHED);
    if (this.#leaves || this.#receiver.endTold) this.#receiver.plan();
  }

  /** `result`: a negative errno; 0: nothing failed. */
  fail(result: number): void {
    if (this.#over === null && result !== 0) this.#breakOff(this.#channel.broken(result));
  }

  #breakOff(over: StreamOver): void {
    if (this.#over !== null) return;
    const { hasLastWord } = this.#channel;
    if (!hasLastWord && !this.#isDead) this.#host.loop.calls.resetOnClose(this.fd); // the peer must not take it for an end
    this.#become(over, hasLastWord);
    this.#receiver.drop();
    this.#receiver.plan();
    this.#handshake?.abandon();
  }

  /** Gives the descriptor back. `lingers`: once the peer has had time to hear why. */
  #become(over: StreamOver | 'cut', lingers = false): void {
    this.#local ??= NOWHERE;
    this.#over = over;
    const { loop } = this.#host;
    if (this.#watch !== null && lingers) loop.forget(this.#watch);
    else if (this.#watch !== null) loop.forgetClosing(this.#watch);
    this.#watch = null;
    this.#channel.free();
    if (lingers) closeLingering(this.#host, this.fd);
    else loop.calls.close(this.fd);
    this.#sender.clear();
    if (over === 'cut') this.#receiver.silence();
    for (const listener of this.#listeners.splice(0)) listener();
  }

  /** What a reader throws costs its stream. */
  mistaken(error: unknown): void {
    this.#host.mishaps.report('relay', error);
    this.#breakOff(mistakenReader(error));
  }
}
