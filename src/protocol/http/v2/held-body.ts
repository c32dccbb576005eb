/**
 * What has come of a body and cannot be passed on yet. The stream's window bounds it: its bytes are given back only when
 * they are taken out.
 */
export class HeldBody {
  #pieces: Buffer[] | null = null;

  get isEmpty(): boolean {
    return this.#pieces === null;
  }

  /** Keeps a copy: the piece is lent. */
  hold(piece: Buffer): void {
    this.#pieces ??= [];
    this.#pieces.push(Buffer.from(piece));
  }

  /** The first piece, which is no longer held; null when there is none. */
  take(): Buffer | null {
    const piece = this.#pieces?.shift() ?? null;
    if (this.#pieces?.length === 0) this.#pieces = null;
    return piece;
  }

  clear(): void {
    this.#pieces = null;
  }
}
