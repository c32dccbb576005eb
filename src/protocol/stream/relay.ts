import type { ByteStream, StreamOver, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cut } from '#model/effects/cut.ts';
import { IO } from '#model/settings/io.ts';

/** Which of the two sides. */
export type RelaySide = 'a' | 'b';

/** `brokenBy`: the side that broke off or failed first; null when both ended in order, or it was cut. */
export type RelayResult = { bytesFromA: number; bytesFromB: number; error: Error | null; brokenBy: RelaySide | null };

/** How a relay is watched and stopped. */
export type RelayOptions = {
  /** Cuts both sides, with resets; its reason becomes the result's error. */
  readonly cut?: Cut;
  /** Called for each chunk that is passed on. */
  onBytes?(from: RelaySide, bytes: number): void;
};

/**
 * Copies both ways until both directions have ended: an end is passed on as an end while the other direction goes on
 * (B22), a reset as a reset, and a side that cannot keep up holds the other one back. Both streams are over when the promise
 * resolves; it never rejects. The streams must not be read or written by anyone else from here on.
 */
export function relayed(a: ByteStream, b: ByteStream, options: RelayOptions = {}): Promise<RelayResult> {
  return new Promise((resolve) => new Relay(a, b, resolve, options).start());
}

class Relay {
  readonly #a: ByteStream;
  readonly #b: ByteStream;
  readonly #fromA: Direction;
  readonly #fromB: Direction;
  readonly #done: (result: RelayResult) => void;
  readonly #cut: Cut | null;
  #settled = false;

  constructor(a: ByteStream, b: ByteStream, done: (result: RelayResult) => void, { cut, onBytes }: RelayOptions) {
    this.#a = a;
    this.#b = b;
    this.#done = done;
    this.#cut = cut ?? null;
    const hear = onBytes ?? null;
    this.#fromA = new Direction(this, 'a', a, b, hear);
    this.#fromB = new Direction(this, 'b', b, a, hear);
  }

  start(): void {
    this.#cut?.listen((reason) => this.#break(reason, null));
    if (this.#settled) return;
    this.#a.read(this.#fromA);
    this.#b.read(this.#fromB);
  }

  /** One side is over: with the other, too, the relay is; otherwise it goes on until that has ended as well. */
  over(side: RelaySide, how: StreamOver): void {
    const error = errorOf(how);
    if (error !== null) this.#break(error, side);
    else if (this.#fromA.isOver && this.#fromB.isOver) this.#settle(null, null);
  }

  #break(error: Error, brokenBy: RelaySide | null): void {
    if (this.#settled) return;
    this.#a.reset();
    this.#b.reset();
    this.#settle(error, brokenBy);
  }

  #settle(error: Error | null, brokenBy: RelaySide | null): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#cut?.listen(null);
    this.#done({ bytesFromA: this.#fromA.bytesPassed, bytesFromB: this.#fromB.bytesPassed, error, brokenBy });
  }
}

/** Reads one side and writes to the other. */
class Direction implements StreamReader {
  bytesPassed = 0;
  isOver = false;
  readonly #relay: Relay;
  readonly #side: RelaySide;
  readonly #from: ByteStream;
  readonly #to: ByteStream;
  readonly #hear: ((from: RelaySide, bytes: number) => void) | null;

  constructor(
    owner: Relay,
    side: RelaySide,
    from: ByteStream,
    to: ByteStream,
    hear: ((from: RelaySide, bytes: number) => void) | null,
  ) {
    this.#relay = owner;
    this.#side = side;
    this.#from = from;
    this.#to = to;
    this.#hear = hear;
  }

  bytes(buffer: Buffer, start: number, end: number): number {
    const bytes = end - start;
    this.bytesPassed += bytes;
    // Taken all the same: what the other side cannot send yet it keeps, and this is the last that comes.
    if (!this.#to.pass(buffer, start, end)) this.#from.pause();
    if (this.#hear !== null) this.#hear(this.#side, bytes);
    return bytes;
  }

  room(): number {
    return this.#to.room?.() ?? Number.POSITIVE_INFINITY;
  }

  end(): void {
    this.#to.end();
  }

  /** The side that is read here takes bytes again: whoever feeds it may go on. */
  writable(): void {
    this.#to.resume();
  }

  over(how: StreamOver): void {
    this.isOver = true;
    this.#relay.over(this.#side, how);
  }
}

/** Null for an end in order. */
function errorOf(how: StreamOver): Error | null {
  switch (how.kind) {
    case 'finished':
      return null;
    case 'reset':
      return brokenOff(how.code);
    case 'failed':
      return how.error;
    default:
      return how satisfies never;
  }
}

/** By why, as there are few causes and many resets: an Error costs two microseconds even without a stack. */
const RESETS = new Map<string, Error>();

/** Resets are how many apps hang up: one Error serves all of a kind. `how`: an errno's name, or a tunnel's error code. */
function brokenOff(how: string): Error {
  const known = RESETS.get(how);
  if (known !== undefined) return known;
  const error = Object.assign(new Error(`the connection was reset (${how})`), { code: 'ECONNRESET' });
  error.stack = `${error.name}: ${error.message}`; // of whoever was first, which would mislead
  if (RESETS.size < IO.resetsKnownMax) RESETS.set(how, error);
  return error;
}
