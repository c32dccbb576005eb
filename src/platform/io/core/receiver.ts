import { FINISHED, HEADROOM_BYTES, type StreamOver, type StreamReader, withHeadroom } from '#model/effects/byte-stream.ts';
import { IO } from '#model/settings/io.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import type { Channel } from './channel.ts';
import { type Loop, READY } from './loop.ts';
import type { Task } from './tasks.ts';

/** The connection that a receiver belongs to. */
export type ReceiverOwner = {
  /** How it ended; `cut`: nobody is told. */
  readonly ending: StreamOver | 'cut' | null;
  /** `result`: a negative errno. */
  fail(result: number): void;
  /** What a reader throws costs its stream. */
  mistaken(error: unknown): void;
  /** What is waited for may have changed. */
  listen(): void;
  /** Whose it is, among those that share the loop. */
  readonly owner: string;
  /** The peer's direction has ended, and the reader knows. */
  peerEnded(): void;
};

/** The direction of a connection in which we read: what comes is offered to a reader, and then how it ended. */
export class Receiver implements Task {
  channel: Channel;
  readonly #loop: Loop;
  readonly #owner: ReceiverOwner;
  #reader: StreamReader | null = null;
  #paused = false;
  /** Bytes that a reader did not take yet, with room in front. */
  #rest: Buffer | null = null;
  /** The byte that told a paused reader's connection that no end is next; -1: none. */
  #peeked = -1;
  #ended = false;
  #endTold = false;
  #planned = false;
  /** What the last read brought. */
  #lastBytes = 0;
  /** Has much to read, and waits for its turn. */
  #waitsItsTurn = false;

  constructor(loop: Loop, channel: Channel, owner: ReceiverOwner) {
    this.#loop = loop;
    this.#owner = owner;
    this.channel = channel;
  }

  get reader(): StreamReader | null {
    return this.#reader;
  }

  /** The peer has ended its direction, and this was told. */
  get endTold(): boolean {
    return this.#endTold;
  }

  /** What is waited for, as bits of READY: bytes, or an end that a paused reader is to be told of when no bytes are before it. */
  get awaits(): number {
    if (this.#reader === null || this.#ended || this.#rest !== null || this.#waitsItsTurn) return 0;
    if (!this.#paused) return READY.read;
    return this.#peeked < 0 ? READY.peerEnd : 0;
  }

  read(reader: StreamReader): void {
    this.#reader = reader;
    this.#paused = false;
    this.#endTold = false;
    this.plan();
  }

  pause(): void {
    this.#paused = true;
    this.#owner.listen();
  }

  resume(): void {
    if (!this.#paused || this.#reader === null) return;
    this.#paused = false;
    this.plan();
  }

  /** The descriptor has something to tell; false: nobody wants to know now. */
  ready(): boolean {
    if (this.#waitsItsTurn) return true;
    const { awaits } = this;
    if (awaits === READY.read && this.#isMuch && (this.#loop.isCrowded || this.#loop.isFull)) this.#waitItsTurn();
    else if (awaits === READY.read) this.#receive();
    else if (awaits === READY.peerEnd) this.#peek();
    return awaits !== 0;
  }

  /** It is likely that the next read brings as much. */
  get #isMuch(): boolean {
    return this.#lastBytes >= IO.muchBytes;
  }

  /** What is ready stays so: until then nobody asks. */
  #waitItsTurn(): void {
    this.#waitsItsTurn = true;
    this.#owner.listen();
    this.#loop.inTurn(this.#owner.owner, this.#turn);
  }

  readonly #turn: Task = {
    run: () => {
      this.#waitsItsTurn = false;
      if (this.#owner.ending !== null) return;
      if (this.awaits === READY.read) this.#receive();
      if (!this.#goesOn()) return;
      if (this.awaits === READY.read && this.#isMuch) this.#waitItsTurn();
      else this.#owner.listen();
    },
  };

  /** No more than can go on: what a stalled sink has been handed, somebody has to keep. */
  get #room(): number {
    const wanted = this.#reader?.room?.() ?? Number.POSITIVE_INFINITY;
    const bytesMax = this.#loop.isCrowded ? IO.sharedReadBytes : this.#loop.input.length - HEADROOM_BYTES;
    return Math.min(bytesMax, Math.max(IO.muchBytes, wanted));
  }

  #receive(): void {
    const { input } = this.#loop;
    const room = this.#room;
    let filled = 0;
    let result = 0;
    if (this.#peeked >= 0) {
      input.buffer[HEADROOM_BYTES] = this.#peeked;
      this.#peeked = -1;
      filled = 1;
    }
    do {
      result = this.channel.receive(input, HEADROOM_BYTES + filled, room - filled);
      if (result > 0) filled += result;
    } while ((result > 0 && filled < room && this.channel.readsOn(filled)) || result === -ERRNO.interrupted);
    this.#lastBytes = filled;
    this.#loop.moved(filled);
    if (filled > 0) this.#offer(input.buffer, HEADROOM_BYTES, HEADROOM_BYTES + filled);
    if (this.#owner.ending === null) this.#received(result);
  }

  /** One byte tells whether any are before the end: it is kept, and offered together with those behind it. */
  #peek(): void {
    const { input } = this.#loop;
    let result = 0;
    do result = this.channel.receive(input, HEADROOM_BYTES, 1);
    while (result === -ERRNO.interrupted);
    if (result <= 0) {
      this.#received(result);
      return;
    }
    this.#peeked = input.buffer[HEADROOM_BYTES] ?? -1;
    this.#owner.listen();
  }

  #received(result: number): void {
    if (result === 0) {
      this.#ended = true;
      this.settle(); // first: where our own direction has ended, too, there is nothing left to wait for
      this.#owner.listen();
    } else if (result < 0 && result !== -ERRNO.again) this.#owner.fail(result);
    else {
      if (this.channel.hasMore()) this.plan();
      if (this.channel.unsent > 0) this.#owner.listen(); // an answer to what was read, for which there was no room
    }
  }

  #offer(buffer: Buffer, start: number, end: number): void {
    let at = start;
    let reader = this.#reader;
    while (reader !== null) {
      let taken = end - at;
      try {
        taken = reader.bytes(buffer, at, end);
      } catch (error) {
        this.#owner.mistaken(error);
      }
      at += taken;
      if (at >= end || this.#owner.ending !== null) return;
      if (this.#reader === reader || this.#paused) break;
      reader = this.#reader; // handed over meanwhile: what the former one did not take is lent to this one as well
    }
    if (reader === null) return;
    this.#rest = withHeadroom(buffer, at, end);
    if (this.#reader === reader) this.pause();
  }

  /** Nothing is delivered from inside of a call. */
  plan(): void {
    if (this.#planned) return;
    this.#planned = true;
    this.#loop.soon(this);
  }

  run(): void {
    this.#planned = false;
    if (this.#owner.ending === 'cut') return;
    const rest = this.#rest;
    if (rest !== null && this.#owner.ending === null && !this.#paused) {
      this.#rest = null;
      this.#offer(rest, HEADROOM_BYTES, rest.length);
    }
    this.settle();
    if (this.#owner.ending !== null || this.#reader === null) return;
    this.#owner.listen();
    if (!this.#goesOn() || this.awaits !== READY.read || (this.#peeked < 0 && !this.channel.hasMore())) return;
    if (this.#isMuch && this.#loop.isFull) this.#waitItsTurn();
    else this.#receive();
  }

  /** Also after a call that may have ended it. */
  #goesOn(): boolean {
    return this.#owner.ending === null;
  }

  /** Tells what is due: the end after all bytes, then that it is over. */
  settle(): void {
    const reader = this.#reader;
    if (reader === null || this.#owner.ending === 'cut') return;
    const isOrderly = this.#owner.ending === null || this.#owner.ending === FINISHED;
    if (isOrderly && this.#ended && this.#rest === null) {
      if (!this.#endTold) {
        this.#endTold = true;
        this.tell(() => reader.end());
      }
      if (this.#endTold) this.#owner.peerEnded();
    }
    // It may have been broken off, or handed over, by the reader.
    const over = this.#owner.ending;
    if (over === null || this.#reader !== reader) return; // silent when cut
    this.#reader = null;
    this.tell(() => reader.over(over));
  }

  tell(tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.#owner.mistaken(error);
    }
  }

  /** What was not taken is lost. */
  drop(): void {
    this.#rest = null;
    this.#peeked = -1;
  }

  /** Nobody is told anything more. */
  silence(): void {
    this.#reader = null;
    this.drop();
  }
}
