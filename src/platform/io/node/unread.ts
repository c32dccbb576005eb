import { HEADROOM_BYTES } from '#model/effects/byte-stream.ts';

type Chunk = { readonly buffer: Buffer; start: number; readonly end: number };

/** Bytes that came and that no reader has taken, each chunk with its headroom in front. */
export class Unread {
  #chunks: Chunk[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies bytes behind those that are there. */
  add(from: Buffer, start: number, end: number): void {
    if (end <= start) return;
    const buffer = Buffer.allocUnsafe(HEADROOM_BYTES + end - start);
    from.copy(buffer, HEADROOM_BYTES, start, end);
    this.#chunks.push({ buffer, start: HEADROOM_BYTES, end: buffer.length });
    this.#length += end - start;
  }

  /** Lends the first chunk to `take`, which returns how many bytes it took. */
  offer(take: (buffer: Buffer, start: number, end: number) => number): void {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return;
    const taken = take(chunk.buffer, chunk.start, chunk.end);
    if (this.#chunks[0] !== chunk) return; // dropped from inside of the call
    this.#length -= taken;
    chunk.start += taken;
    if (chunk.start >= chunk.end) this.#chunks.shift();
  }

  drop(): void {
    this.#chunks = [];
    this.#length = 0;
  }
}
