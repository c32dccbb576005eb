/**
 * What a peer may still send in one direction of a stream or of a connection.
 * Bytes are spent when they arrive and given back once their consumer has taken them.
 */
export class ReceiveWindow {
  readonly #bytesMax: number;
  #available: number;
  /** Taken by the consumer, not yet told to the peer. */
  #owed = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#available = bytesMax;
  }

  /** Bytes that arrived and that the consumer still holds. */
  get heldBytes(): number {
    return this.#bytesMax - this.#available - this.#owed;
  }

  /** False when the peer sent more than it may. */
  spend(bytes: number): boolean {
    this.#available -= bytes;
    return this.#available >= 0;
  }

  /** Gives bytes back; returns what to announce with WINDOW_UPDATE now, 0 while it is too little to be worth a frame. */
  giveBack(bytes: number): number {
    this.#owed += bytes;
    if (this.#owed < this.#bytesMax / 2) return 0;
    const announced = this.#owed;
    this.#available += announced;
    this.#owed = 0;
    return announced;
  }
}
