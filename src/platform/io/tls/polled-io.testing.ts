import { type ByteStream, type Endpoint, NOWHERE, type StreamOver, type StreamReader } from '#model/effects/byte-stream.ts';
import type { Clock } from '#model/effects/clock.ts';
import { Memory } from '#platform/ffi/memory.ts';
import { encodeSockaddr } from '#platform/ffi/sockaddr.ts';
import { SOCKADDR_BYTES, SYSCALLS } from '#platform/ffi/syscalls.ts';
import type { Listener, Secured } from '#platform/io/io.ts';
import type { TlsChannel } from './channel.ts';
import { type CoreTlsContext, Handshake } from './handshake.ts';

const EAGAIN = 11;
const WAITING_BYTES_MAX = 65_536;
const READS_PER_TURN = 16;
const address = new Memory(SOCKADDR_BYTES);
const input = new Memory(65_536);

/** As little of a loop as TLS needs to be tested without one: everything is asked in every turn whether it can go on. */
export class PolledIo {
  readonly #clock: Clock;
  readonly #polled = new Set<{ step(): void }>();
  #running = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  poll(what: { step(): void }): void {
    this.#polled.add(what);
    if (this.#running) return;
    this.#running = true;
    setImmediate(this.#turn);
  }

  forget(what: { step(): void }): void {
    this.#polled.delete(what);
  }

  listen(fd: number, accept: (stream: PolledStream) => void): Listener {
    SYSCALLS.listen(fd, 64);
    SYSCALLS.localAddress(fd, address);
    const port = address.buffer.readUInt16BE(2);
    const acceptor = {
      step: () => {
        for (let taken = SYSCALLS.accept(fd, address); taken >= 0; taken = SYSCALLS.accept(fd, address))
          accept(new PolledStream(this, taken));
      },
    };
    this.poll(acceptor);
    const close = (): void => {
      this.forget(acceptor);
      SYSCALLS.close(fd);
    };
    return { fd, port, close };
  }

  /** On the loopback, where connecting takes no time. */
  async connect(fd: number, to: Endpoint): Promise<PolledStream> {
    SYSCALLS.connect(fd, encodeSockaddr(to.ip, to.port));
    await new Promise((resolve) => setImmediate(resolve));
    return new PolledStream(this, fd);
  }

  async secure(stream: PolledStream, context: CoreTlsContext, deadlineMs: number | null): Promise<Secured> {
    return new Promise((resolve) => stream.secure(context, this.#clock, deadlineMs, resolve));
  }

  readonly #turn = (): void => {
    for (const what of this.#polled) what.step();
    this.#running = this.#polled.size > 0;
    if (this.#running) setImmediate(this.#turn);
  };
}

/** A TLS connection that is asked in every turn. */
export class PolledStream implements ByteStream {
  readonly remote = NOWHERE;
  readonly local = NOWHERE;
  isOver = false;
  readonly #io: PolledIo;
  readonly #fd: number;
  #handshake: Handshake | null = null;
  #channel: TlsChannel | null = null;
  #reader: StreamReader | null = null;
  #paused = false;
  #waiting = Buffer.alloc(0);
  #ending: 'no' | 'wanted' | 'sent' = 'no';
  #peerEnded = false;
  #how: StreamOver | null = null;
  #listeners: (() => void)[] = [];

  constructor(io: PolledIo, fd: number) {
    this.#io = io;
    this.#fd = fd;
  }

  get pendingBytes(): number {
    return this.#waiting.length;
  }

  secure(context: CoreTlsContext, clock: Clock, deadlineMs: number | null, settle: (secured: Secured) => void): void {
    const done = (secured: Secured): void => {
      this.#handshake = null;
      if (secured.kind !== 'open') this.#close();
      settle(secured);
    };
    this.#handshake = new Handshake({
      ...{ calls: SYSCALLS, fd: this.#fd, context, clock, deadlineMs },
      wait: () => {},
      done: (shaken) => {
        if (shaken.kind !== 'open') return done(shaken);
        this.#channel = shaken.channel;
        const { peerChain, group } = shaken;
        done({ kind: 'open', stream: Object.assign(this, { peerChain, group }) });
      },
    });
    this.#io.poll(this);
  }

  step(): void {
    if (this.#handshake !== null) this.#handshake.step();
    else if (this.#channel !== null) this.#pass(this.#channel);
  }

  #pass(channel: TlsChannel): void {
    this.#flush(channel);
    const reader = this.#reader;
    for (let at = 0; at < READS_PER_TURN && reader !== null && !this.#paused && !this.#peerEnded && !this.isOver; at++) {
      const read = channel.receive(input, 0, input.length);
      if (read === -EAGAIN) break;
      if (read > 0) reader.bytes(input.buffer, 0, read);
      else if (read < 0) this.#break(channel.broken(read));
      else {
        this.#peerEnded = true;
        reader.end();
      }
    }
    if (this.#peerEnded && this.#ending === 'sent' && !this.isOver) this.#break({ kind: 'finished' });
  }

  #flush(channel: TlsChannel): void {
    const wasFull = this.#waiting.length >= WAITING_BYTES_MAX;
    if (channel.flush() === -EAGAIN) return;
    while (this.#waiting.length > 0) {
      const sent = channel.sendFrom(this.#waiting, 0, this.#waiting.length);
      if (sent === -EAGAIN) return;
      if (sent < 0) {
        this.#break(channel.broken(sent));
        return;
      }
      this.#waiting = this.#waiting.subarray(sent);
    }
    if (this.#ending === 'wanted') {
      const ended = channel.finish();
      if (ended >= 0) this.#ending = 'sent';
      else if (ended !== -EAGAIN) this.#break(channel.broken(ended));
    }
    if (wasFull && this.#ending === 'no') this.#reader?.writable();
  }

  read(reader: StreamReader): void {
    this.#reader = reader;
    const how = this.#how;
    if (how !== null) setImmediate(() => reader.over(how));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  write(buffer: Buffer, start: number, end: number): boolean {
    if (!this.isOver && this.#ending === 'no') this.#waiting = Buffer.concat([this.#waiting, buffer.subarray(start, end)]);
    return this.#waiting.length < WAITING_BYTES_MAX;
  }

  pass(buffer: Buffer, start: number, end: number): boolean {
    return this.write(buffer, start, end);
  }

  end(): void {
    if (this.#ending === 'no') this.#ending = 'wanted';
  }

  reset(): void {
    if (this.isOver) return;
    this.#reader = null;
    const handshake = this.#handshake;
    SYSCALLS.resetOnClose(this.#fd);
    if (handshake === null) this.#close();
    else handshake.abandon();
  }

  onOver(listener: () => void): void {
    if (this.isOver) listener();
    else this.#listeners.push(listener);
  }

  #break(how: StreamOver): void {
    this.#how = how;
    this.#close();
    this.#reader?.over(how);
  }

  #close(): void {
    this.isOver = true;
    this.#io.forget(this);
    this.#channel?.free();
    SYSCALLS.close(this.#fd);
    for (const listener of this.#listeners) listener();
  }
}
