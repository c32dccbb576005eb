import { WAYPOINT } from '#model/settings/waypoints.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { ClientStream } from '#protocol/http/message.ts';

const NOTHING = Buffer.alloc(0);

/** The memory of all bodies that one waypoint keeps. */
export class KeptBodies {
  readonly bytesMax: number;
  bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** False: there is not so much left. */
  reserve(bytes: number): boolean {
    if (this.bytes + bytes > this.bytesMax) return false;
    this.bytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.bytes -= bytes;
  }
}

/** How much of a body was taken in: all; as much as was asked for; or it found no place, and is not whole any more. */
export type Gathered = 'whole' | 'part' | 'lost';

/**
 * Stands between a request's body and the tries to send it: what has come is kept, up to a bound, and each new try is
 * given all of it from the start. A try that is full stops the client, as without it. Past the bound, or once it is
 * settled that no further try will come, the bytes are let go as soon as the try under way has them.
 */
export class BodyKeeper {
  readonly #bytesMax: number;
  readonly #pool: KeptBodies;
  /** A copy: pieces of a body are views of what was read at once, which may be far larger. */
  #bytes: Buffer = NOTHING;
  #length = 0;
  /** How much of it the try under way was given. */
  #given = 0;
  #blocked = false;
  #ended = false;
  #endGiven = false;
  #trailers: HeaderBlock | null = null;
  #settled = false;
  #gathering: { readonly bytes: number; done(how: Gathered): void } | null = null;

  constructor(bytesMax: number, pool: KeptBodies) {
    this.#bytesMax = bytesMax;
    this.#pool = pool;
  }

  /** Whether a further try could be given all that has come so far. */
  get isWhole(): boolean {
    return !this.#settled;
  }

  /** What has come, as long as it is whole; a view of it. */
  get kept(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Takes the body in before there is a try, until it has so many bytes or it is complete. Once, and before the body begins. */
  gather(bytes: number): Promise<Gathered> {
    return new Promise((resolve) => {
      this.#gathering = { bytes, done: resolve };
    });
  }

  /** A try begins: it gets what there is. False: hold the rest of the body back until `resume` says true. */
  begin(upstream: ClientStream): boolean {
    this.#given = 0;
    this.#endGiven = false;
    return this.resume(upstream);
  }

  /** The try can take more. */
  resume(upstream: ClientStream): boolean {
    this.#blocked = false;
    while (!this.#blocked && this.#given < this.#length) this.#giveOne(upstream);
    this.#finish(upstream);
    return !this.#blocked;
  }

  /** A piece of the body has come; `upstream` null: between two tries. False: hold the rest back. */
  take(data: Buffer, upstream: ClientStream | null): boolean {
    if (!this.#settled && this.#store(data)) {
      if (upstream !== null) return !this.#blocked && this.resume(upstream);
      return this.#gathering !== null && this.#gathers(this.#gathering);
    }
    this.#settled = true;
    if (upstream === null) {
      this.#gathered('lost');
      return false;
    }
    // In order, though the try is full: what is kept for it is bounded.
    while (this.#given < this.#length) this.#giveOne(upstream);
    this.#letGo();
    this.#blocked = !upstream.write(data);
    return !this.#blocked;
  }

  /** The body is complete. */
  end(trailers: HeaderBlock | null, upstream: ClientStream | null): void {
    this.#ended = true;
    this.#trailers = trailers;
    this.#gathered('whole');
    if (upstream !== null) this.#finish(upstream);
  }

  /** No further try will come. */
  settle(): void {
    this.#settled = true;
    if (this.#given === this.#length) this.#letGo();
  }

  /** The exchange is over. */
  release(): void {
    this.#settled = true;
    this.#gathered('lost');
    this.#letGo();
  }

  /** Whether more is wanted. */
  #gathers({ bytes }: { readonly bytes: number }): boolean {
    if (this.#length < bytes) return true;
    this.#gathered('part');
    return false;
  }

  #gathered(how: Gathered): void {
    this.#gathering?.done(how);
    this.#gathering = null;
  }

  #giveOne(upstream: ClientStream): void {
    const end = Math.min(this.#length, this.#given + WAYPOINT.keptBodyPieceBytes);
    const piece = this.#bytes.subarray(this.#given, end);
    this.#given = end;
    this.#blocked = !upstream.write(piece);
  }

  #finish(upstream: ClientStream): void {
    if (this.#given < this.#length) return;
    if (this.#settled) this.#letGo();
    if (!this.#ended || this.#endGiven) return;
    this.#endGiven = true;
    upstream.end(this.#trailers);
  }

  #store(data: Buffer): boolean {
    const length = this.#length + data.length;
    if (length > this.#bytesMax) return false;
    if (length > this.#bytes.length) {
      const capacity = Math.min(this.#bytesMax, Math.max(WAYPOINT.keptBodyFirstBytes, length, 2 * this.#bytes.length));
      if (!this.#pool.reserve(capacity - this.#bytes.length)) return false;
      const larger = Buffer.allocUnsafe(capacity);
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    data.copy(this.#bytes, this.#length);
    this.#length = length;
    return true;
  }

  #letGo(): void {
    this.#pool.release(this.#bytes.length);
    this.#bytes = NOTHING;
    this.#length = 0;
    this.#given = 0;
  }
}
