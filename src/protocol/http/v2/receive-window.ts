import type { Http2Settings } from './settings.ts';

/**
 * What a peer may still send in one direction of a stream or of a connection.
 * Bytes are spent when they arrive and given back once their consumer has taken them.
 */
export class ReceiveWindow {
  #bytesMax: number;
  #available: number;
  /** Taken by the consumer, not yet told to the peer. */
  #owed = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#available = bytesMax;
  }

  get bytesMax(): number {
    return this.#bytesMax;
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

  /** Lets the peer send more than at first; announced with what is given back next. */
  grow(bytes: number): void {
    this.#bytesMax += bytes;
    this.#owed += bytes;
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

/** By how much the windows of open streams have grown, of one connection or of several that have one bound together. */
export class GrownWindows {
  bytes = 0;
}

/** What a peer may send on a connection, all its streams together. */
export class ConnectionWindow {
  /** Whether bytes are given back when they arrive: streams that nobody reads then hold only their own windows. */
  readonly givesBackOnArrival: boolean;
  readonly #window: ReceiveWindow;
  readonly #settings: Http2Settings;
  readonly #announce: (bytes: number) => void;
  readonly #grown: GrownWindows;

  constructor(settings: Http2Settings, grown: GrownWindows, announce: (bytes: number) => void) {
    this.givesBackOnArrival = settings.giveBack === 'on-arrival';
    this.#window = new ReceiveWindow(settings.connectionWindowBytes);
    this.#settings = settings;
    this.#grown = grown;
    this.#announce = announce;
  }

  /** Bytes have arrived. False when the peer sent more than it may. */
  arrived(bytes: number): boolean {
    const allowed = this.#window.spend(bytes);
    if (this.givesBackOnArrival) this.#giveBack(bytes);
    return allowed;
  }

  /** Their consumer has taken bytes, or there is none. */
  taken(bytes: number): void {
    if (!this.givesBackOnArrival) this.#giveBack(bytes);
  }

  /** By how much a stream's window of so many bytes grows now. */
  growth(bytes: number): number {
    const { streamWindowBytesMax = 0, grownWindowsBytesMax = 0 } = this.#settings;
    if (bytes >= streamWindowBytesMax || this.#grown.bytes + bytes > grownWindowsBytesMax) return 0;
    this.#grown.bytes += bytes;
    return bytes;
  }

  /** A stream is closed whose window had grown. */
  shrink(bytes: number): void {
    this.#grown.bytes -= bytes;
  }

  #giveBack(bytes: number): void {
    const announced = this.#window.giveBack(bytes);
    if (announced > 0) this.#announce(announced);
  }
}
