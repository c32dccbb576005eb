import assert from 'node:assert/strict';
import { type ByteStream, HEADROOM_BYTES, type StreamOver, type StreamReader } from '#model/effects/byte-stream.ts';

/** A prime, so that bytes that are lost, doubled or out of place do not look like those expected. */
const PERIOD = 65_521;
const PIECE_MAX = 1 << 20;
const PATTERN = pattern();

function pattern(): Buffer {
  const bytes = Buffer.alloc(PERIOD + PIECE_MAX);
  let state = 1;
  for (let at = 0; at < PERIOD; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  for (let at = PERIOD; at < bytes.length; at += PERIOD) bytes.copy(bytes, at, 0, Math.min(PERIOD, bytes.length - at));
  return bytes;
}

/** What a view is overwritten with once its bytes are somebody else's: whoever still looks at it sees this. */
const POISON = 0xee;

/** How many calls to any stream are under way: nothing may be delivered from inside of one. */
let inside = 0;
let waiting: (() => void)[] = [];

/** Lets those look again who wait for something to happen. */
export function wake(): void {
  const those = waiting;
  waiting = [];
  for (const look of those) look();
}

/** How long something that has to come is waited for: turns where it is known to come soon, or never. */
export type Patience = { readonly ms: number } | { readonly turns: number };

/** Waits for events until `holds`; an error that names `what` when nothing has come of it for so long. */
export async function until(holds: () => boolean, what: string, patience: Patience): Promise<void> {
  if (holds()) return;
  let late = false;
  let timer: NodeJS.Timeout | undefined;
  const ended =
    'turns' in patience ? turns(patience.turns) : new Promise<void>((resolve) => (timer = setTimeout(resolve, patience.ms)));
  const lateness = ended.then(() => {
    late = true;
  });
  while (!holds() && !late) await Promise.race([lateness, new Promise<void>((resolve) => waiting.push(resolve))]);
  clearTimeout(timer);
  assert.ok(holds(), `waited in vain: ${what}`);
}

/** Turns of the event loop, for what must not happen. */
export async function turns(count = 8): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Who acts on what is delivered; what a method throws goes through to the stream. */
export type Acts = { bytes?(): void; end?(): void; writable?(): void; over?(): void };

/**
 * One end of a connection under test: writes a pattern, and holds everything that is delivered against the sentences of
 * byte-stream.ts. What breaks one is kept in `faults`; nothing is thrown into the stream.
 */
export class End {
  readonly faults: string[] = [];
  readonly stream: ByteStream;
  readonly #outSeed: number;
  readonly #inSeed: number;
  readonly #name: string;
  sent = 0;
  received = 0;
  isPaused = false;
  hasEnded = false;
  hasReset = false;
  /** A reader of it has thrown. */
  hasMistaken = false;
  /** `write` said false, and no `writable` has come. */
  isFull = false;
  /** Told to the present reader. */
  endsTold = 0;
  writablesTold = 0;
  over: StreamOver | null = null;
  oversHeard = 0;
  acts: Acts = {};
  /** How many of so many bytes are taken. */
  take: (bytes: number) => number = (bytes) => bytes;
  #reader: StreamReader | null = null;

  constructor(name: string, stream: ByteStream, seed: number, peerSeed: number) {
    this.#name = name;
    this.stream = stream;
    this.#outSeed = seed;
    this.#inSeed = peerSeed;
    stream.onOver(() => {
      this.oversHeard++;
      wake();
    });
  }

  get isRead(): boolean {
    return this.#reader !== null;
  }

  read(): void {
    const reader: StreamReader = {
      bytes: (buffer, start, end) => this.#onBytes(reader, buffer, start, end),
      end: () => this.#onEnd(reader),
      writable: () => this.#onWritable(reader),
      over: (how) => this.#onOver(reader, how),
    };
    this.#reader = reader;
    this.isPaused = false;
    this.endsTold = 0;
    this.#call(() => this.stream.read(reader));
  }

  pause(): void {
    this.isPaused = true;
    this.#call(() => this.stream.pause());
  }

  resume(): void {
    this.isPaused = false;
    this.#call(() => this.stream.resume());
  }

  /** False: the stream wants a pause. `by`: both methods keep one contract. */
  write(bytes: number, by: 'write' | 'pass' = 'write'): boolean {
    const piece = Buffer.allocUnsafe(HEADROOM_BYTES + bytes);
    const from = (this.sent + this.#outSeed) % PERIOD;
    PATTERN.copy(piece, HEADROOM_BYTES, from, from + bytes);
    const goesNowhere = this.hasEnded || this.stream.isOver;
    const room = this.#call(() => this.stream[by](piece, HEADROOM_BYTES, piece.length));
    piece.fill(POISON); // it was ours again as soon as the call returned
    if (goesNowhere) this.#check(room, 'write asks to wait for a stream that takes nothing any more');
    else this.sent += bytes;
    if (!room) this.isFull = true;
    return room;
  }

  end(): void {
    this.hasEnded = true;
    this.#call(() => this.stream.end());
  }

  reset(): void {
    this.hasReset = true;
    this.#call(() => this.stream.reset());
  }

  #call<Result>(act: () => Result): Result {
    inside++;
    try {
      return act();
    } finally {
      inside--;
    }
  }

  #check(holds: boolean, broken: string): void {
    if (!holds && this.faults.length < 8) this.faults.push(`${this.#name}: ${broken}`);
  }

  #heard(reader: StreamReader, what: string): void {
    this.#check(inside === 0, `${what} is delivered from inside of a call`);
    this.#check(reader === this.#reader, `${what} is told to a former reader`);
    this.#check(!this.hasReset, `${what} is told after our reset`);
    this.#check(this.over === null, `${what} is told after over`);
  }

  #onBytes(reader: StreamReader, buffer: Buffer, start: number, end: number): number {
    this.#heard(reader, 'bytes');
    this.#check(start >= HEADROOM_BYTES && end > start && end <= buffer.length, `bytes ${start} to ${end} of ${buffer.length}`);
    this.#check(!this.isPaused, 'bytes come while paused');
    this.#check(this.endsTold === 0, 'bytes come after the end');
    const from = (this.received + this.#inSeed) % PERIOD;
    const isRight = buffer.compare(PATTERN, from, from + end - start, start, end) === 0;
    this.#check(isRight, `wrong bytes within ${this.received} to ${this.received + end - start}`);
    const taken = Math.min(end - start, Math.max(0, this.take(end - start)));
    this.received += taken;
    if (taken < end - start) this.isPaused = true;
    buffer.fill(POISON, start - HEADROOM_BYTES, start + taken); // lent: it may be overwritten
    wake();
    this.acts.bytes?.();
    return taken;
  }

  #onEnd(reader: StreamReader): void {
    this.#heard(reader, 'an end');
    this.endsTold++;
    this.#check(this.endsTold === 1, 'the end is told twice');
    wake();
    this.acts.end?.();
  }

  #onWritable(reader: StreamReader): void {
    this.#heard(reader, 'room');
    this.#check(this.isFull, 'room is told to somebody who was not refused any');
    this.isFull = false;
    this.writablesTold++;
    wake();
    this.acts.writable?.();
  }

  #onOver(reader: StreamReader, how: StreamOver): void {
    this.#heard(reader, 'over');
    this.#check(this.stream.isOver, 'told over, and isOver is false');
    if (how.kind === 'finished') this.#check(this.endsTold === 1 && this.hasEnded, 'finished before both directions ended');
    this.over = how;
    wake();
    this.acts.over?.();
  }
}
