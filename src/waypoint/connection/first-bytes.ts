import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { readClientHello } from '#protocol/tls/client-hello.ts';

/** What reads the first bytes of a stream, and who goes on with it. `early`: what was taken of the stream; it is still to be sent on. */
export type FirstBytes<Said> = {
  /** What all that has come says; null: more is needed. */
  read(all: Buffer): Said | null;
  /** What a stream says that ended before. */
  ended: Said;
  said(what: Said, early: Buffer | null): void;
  /** It has not said enough in time. */
  silent(early: Buffer | null): void;
  /** A mistake of ours, while it was read or gone on with. */
  mistaken(error: unknown): void;
};

/**
 * Reads a stream until its first bytes say what is to be known; `early` was taken of it before. Takes nothing of the piece that decides: who
 * goes on reads it. `clock` null: it may take its time.
 */
export function readFirstBytes<Said>(
  stream: ByteStream,
  early: Buffer | null,
  clock: Clock | null,
  first: FirstBytes<Said>,
): void {
  const reading = new Reading(early, first);
  // What was taken before may be all that comes before an answer.
  if (early !== null && reading.tell(early)) return;
  if (clock !== null) reading.wait(clock);
  stream.read(reading);
}

class Reading<Said> implements StreamReader {
  readonly #first: FirstBytes<Said>;
  /** A copy: pieces are lent. */
  #early: Buffer | null;
  #over = false;
  #cancel: Cancel | null = null;

  constructor(early: Buffer | null, first: FirstBytes<Said>) {
    this.#early = early;
    this.#first = first;
  }

  wait(clock: Clock): void {
    this.#cancel = clock.after(WAYPOINT.silentClientMs, () => this.#decide(() => this.#first.silent(this.#early)));
  }

  bytes(buffer: Buffer, start: number, end: number): number {
    const piece = buffer.subarray(start, end);
    const all = this.#early === null ? piece : Buffer.concat([this.#early, piece]);
    if (this.tell(all)) return 0;
    this.#early = this.#early === null ? Buffer.from(piece) : all;
    return end - start;
  }

  end(): void {
    this.#decide(() => this.#first.said(this.#first.ended, this.#early));
  }

  writable(): void {}

  /** Nobody is left to be served, and the timer would keep the stream. */
  over(): void {
    this.#cancel?.();
  }

  /** Whether `all` that has come suffices. */
  tell(all: Buffer): boolean {
    const what = this.#first.read(all);
    if (what === null) return false;
    this.#decide(() => this.#first.said(what, this.#early));
    return true;
  }

  #decide(goOn: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancel?.();
    try {
      goOn();
    } catch (error) {
      this.#first.mistaken(error);
    }
  }
}

/** `name` null: it asks for none, or does not speak TLS. */
export type AskedName = { readonly name: string | null };

const NONE: AskedName = { name: null };

/** Reads a stream until it is clear which name a client of TLS asks for; `early` was taken of it before. */
export function readServerName(
  stream: ByteStream,
  early: Buffer | null,
  clock: Clock,
  naming: Pick<FirstBytes<AskedName>, 'said' | 'silent' | 'mistaken'>,
): void {
  readFirstBytes(stream, early, clock, { ...naming, read: nameIn, ended: NONE });
}

function nameIn(all: Buffer): AskedName | null {
  const hello = readClientHello(all);
  if (hello.kind === 'incomplete' && all.length < WAYPOINT.clientHelloBytesMax) return null;
  return hello.kind === 'hello' ? { name: hello.serverName } : NONE;
}
