import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { readClientHello } from '#protocol/tls/client-hello.ts';

/** Who goes on with the stream. */
type Naming = {
  /** `serverName` null: it asks for none, or does not speak TLS. `early`: what was taken of the stream; it is still to be sent on. */
  named(serverName: string | null, early: Buffer | null): void;
  /** It has not said enough in time. */
  silent(): void;
  /** A mistake of ours, while it was read or gone on with. */
  mistaken(error: unknown): void;
};

/** Reads a stream until it is clear which name a client of TLS asks for; `early` was taken of it before. */
export function readServerName(stream: ByteStream, early: Buffer | null, clock: Clock, naming: Naming): void {
  const reading = new Reading(early, naming);
  // What was taken before may be all that comes before an answer.
  if (early !== null && reading.tell(early, early)) return;
  reading.wait(clock);
  stream.read(reading);
}

/** Takes nothing of the piece that decides: who goes on reads it. */
class Reading implements StreamReader {
  readonly #naming: Naming;
  /** A copy: pieces are lent. */
  #early: Buffer | null;
  #over = false;
  #cancel: Cancel | null = null;

  constructor(early: Buffer | null, naming: Naming) {
    this.#early = early;
    this.#naming = naming;
  }

  wait(clock: Clock): void {
    this.#cancel = clock.after(WAYPOINT.silentClientMs, () => this.#decide(() => this.#naming.silent()));
  }

  bytes(buffer: Buffer, start: number, end: number): number {
    const piece = buffer.subarray(start, end);
    const all = Buffer.concat([this.#early ?? Buffer.alloc(0), piece]);
    if (this.tell(all, this.#early)) return 0;
    this.#early = all;
    return end - start;
  }

  end(): void {
    this.#decide(() => this.#naming.named(null, this.#early));
  }

  writable(): void {}

  /** Nobody is left to be served, and the timer would keep the stream. */
  over(): void {
    this.#cancel?.();
  }

  /** Whether `all` that has come says the name. */
  tell(all: Buffer, early: Buffer | null): boolean {
    const hello = readClientHello(all);
    if (hello.kind === 'incomplete' && all.length < WAYPOINT.clientHelloBytesMax) return false;
    this.#decide(() => this.#naming.named(hello.kind === 'hello' ? hello.serverName : null, early));
    return true;
  }

  #decide(goOn: () => void): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancel?.();
    try {
      goOn();
    } catch (error) {
      this.#naming.mistaken(error);
    }
  }
}
