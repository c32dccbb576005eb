/** Fixed by gRPC: whether a message is compressed, and the four bytes of its length. */
const PREFIX_BYTES = 5;

/** Counts the messages of one direction of a call by their prefixes, in pieces of any size; nothing is kept of what they hold. */
export class MessageCounter {
  /** Those whose prefix has come whole. */
  count = 0;
  /** Of the prefix that is being read. */
  #prefixBytes = 0;
  #length = 0;
  /** Bytes of the message that are still to come. */
  #left = 0;

  /** The next piece of the body; it is not kept. */
  take(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      if (this.#left >= data.length - at) {
        this.#left -= data.length - at;
        return;
      }
      at += this.#left;
      this.#left = 0;
      if (this.#prefixBytes === 0 && data.length - at >= PREFIX_BYTES) {
        this.#begin(data.readUInt32BE(at + 1));
        at += PREFIX_BYTES;
      } else this.#prefixByte(data[at++] ?? 0);
    }
  }

  #prefixByte(byte: number): void {
    // Not by shifting: lengths go up to 2^32 - 1. The first byte is none of them.
    this.#length = this.#prefixBytes === 0 ? 0 : this.#length * 256 + byte;
    this.#prefixBytes++;
    if (this.#prefixBytes === PREFIX_BYTES) this.#begin(this.#length);
  }

  #begin(bytes: number): void {
    this.count++;
    this.#prefixBytes = 0;
    this.#left = bytes;
  }
}
