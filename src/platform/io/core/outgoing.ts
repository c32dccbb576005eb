import { IO } from '#model/settings/io.ts';
import { ERRNO } from '#platform/ffi/libc.ts';
import { Memory } from '#platform/ffi/memory.ts';
import type { Channel } from './channel.ts';

type Chunk = { readonly memory: Memory; from: number; to: number };

/** Empty chunks of one loop, for whoever has something to gather. */
export class ChunkPool {
  #spare: Chunk[] = [];

  take(): Chunk {
    return this.#spare.pop() ?? { memory: new Memory(IO.chunkBytes), from: 0, to: 0 };
  }

  giveBack(chunk: Chunk): void {
    if (this.#spare.length >= IO.spareChunksMax) return;
    chunk.from = 0;
    chunk.to = 0;
    this.#spare.push(chunk);
  }
}

/** What was written to one connection and is not with the kernel yet, in order. */
export class Outgoing {
  /** Bytes that wait. */
  bytes = 0;
  readonly #pool: ChunkPool;
  readonly #chunks: Chunk[] = [];

  constructor(pool: ChunkPool) {
    this.#pool = pool;
  }

  /**
   * Takes bytes: those of a large write are sent at once, without a copy, when nothing waits before them but a little that can go with
   * them. 0, or a negative errno.
   */
  put(channel: Channel, buffer: Buffer, start: number, end: number): number {
    let at = start;
    if (end - start >= IO.directBytes && this.bytes < IO.directBytes) {
      const sent = this.bytes === 0 ? channel.sendFrom(buffer, start, end) : this.#sendBehind(channel, buffer, start, end);
      if (sent >= 0) at += sent;
      else if (sent !== -ERRNO.again && sent !== -ERRNO.interrupted) return sent;
    }
    this.#add(buffer, at, end);
    return 0;
  }

  /** What waits, and then this: how much of this, or a negative errno. */
  #sendBehind(channel: Channel, buffer: Buffer, start: number, end: number): number {
    channel.gather(true);
    const before = this.#sendAll(channel);
    const sent = before < 0 ? before : channel.sendFrom(buffer, start, end);
    const left = channel.gather(false);
    return left < 0 && left !== -ERRNO.again ? left : sent;
  }

  #add(buffer: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const count = this.#chunks.length;
      // Of an array the place -1 is looked for by its name, which takes as long as all the rest.
      let last = count === 0 ? undefined : this.#chunks[count - 1];
      if (last === undefined || last.to === last.memory.length) {
        last = this.#pool.take();
        this.#chunks.push(last);
      }
      const copied = buffer.copy(last.memory.buffer, last.to, at, end);
      last.to += copied;
      at += copied;
    }
    this.bytes += end - start;
  }

  /** Sends what the kernel takes. 0: all of it, or -EAGAIN: the rest waits, or another negative errno. */
  send(channel: Channel): number {
    if (this.#chunks.length < 2) return this.#sendAll(channel);
    channel.gather(true);
    const result = this.#sendAll(channel);
    const left = channel.gather(false);
    return result < 0 ? result : left;
  }

  #sendAll(channel: Channel): number {
    for (let at = 0; at < this.#chunks.length; at++) {
      const sent = this.#sendChunk(channel, this.#chunks[at]);
      if (sent < 0) {
        for (const chunk of this.#chunks.splice(0, at)) this.#pool.giveBack(chunk);
        return sent;
      }
    }
    this.clear();
    return 0;
  }

  #sendChunk(channel: Channel, chunk: Chunk | undefined): number {
    while (chunk !== undefined && chunk.from < chunk.to) {
      const sent = channel.send(chunk.memory, chunk.from, chunk.to - chunk.from);
      if (sent === -ERRNO.interrupted) continue;
      if (sent < 0) return sent;
      chunk.from += sent;
      this.bytes -= sent;
    }
    return 0;
  }

  /** Lets go of everything. */
  clear(): void {
    for (let chunk = this.#chunks.pop(); chunk !== undefined; chunk = this.#chunks.pop()) this.#pool.giveBack(chunk);
    this.bytes = 0;
  }
}
