import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { unreachable } from '#model/error.ts';
import type { AppProtocol } from '#model/mesh/service.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import { type Sniffed, sniff } from '#protocol/http/sniff.ts';

/** What a connection is served as. */
export type Protocol = 'http1' | 'http2' | 'tcp';

/** What a port's declaration leaves open: which HTTP, anything, or nothing. */
export type Declared = 'http' | 'anything' | 'tcp';

/** What a Service port's protocol says. */
export function declaredBy(appProtocol: AppProtocol): Declared {
  switch (appProtocol) {
    case 'http11':
    case 'http2':
    case 'grpc':
      return 'http';
    case 'tcp':
    case 'tls':
      return 'tcp';
    case 'unknown':
      return 'anything';
    default:
      return unreachable(appProtocol);
  }
}

/** Who takes the stream over. */
type Choosing = {
  /** `early`: what was taken of the stream, where one piece of it did not suffice; it decides nothing by itself. */
  decided(protocol: Protocol | 'silent', early: Buffer | null): void;
  /** A mistake of ours while it was chosen, or while it was taken over. */
  mistaken(error: unknown): void;
};

/**
 * Reads from a stream until it is clear what it speaks; who takes it over reads what decided. On a declared HTTP port what is
 * not HTTP/2 is HTTP/1, so that nonsense gets a 400. `silent`: on an undeclared port nothing decisive came in time; it must
 * not be taken for TCP, or a client could pass by its routes by waiting.
 */
export function detectProtocol(stream: ByteStream, declared: Declared, clock: Clock, choosing: Choosing): void {
  const detecting = new Detecting(declared, choosing);
  if (declared === 'tcp') {
    detecting.decide('tcp');
    return;
  }
  if (declared === 'anything') detecting.wait(clock);
  stream.read(detecting);
}

/** Reads while it is undecided, and takes nothing of the piece that decides. */
class Detecting implements StreamReader {
  readonly #declared: Declared;
  readonly #choosing: Choosing;
  /** A copy of what came before: pieces are lent. */
  #early: Buffer | null = null;
  #decided = false;
  #cancel: Cancel | null = null;

  constructor(declared: Declared, choosing: Choosing) {
    this.#declared = declared;
    this.#choosing = choosing;
  }

  /** A client that says nothing in time is told off. */
  wait(clock: Clock): void {
    this.#cancel = clock.after(WAYPOINT.silentClientMs, () => this.decide('silent'));
  }

  bytes(buffer: Buffer, start: number, end: number): number {
    const piece = buffer.subarray(start, end);
    const all = this.#early === null ? piece : Buffer.concat([this.#early, piece]);
    const protocol = protocolOf(sniff(all), this.#declared);
    if (protocol === null) {
      this.#early = this.#early === null ? Buffer.from(piece) : all;
      return end - start;
    }
    this.decide(protocol);
    return 0;
  }

  end(): void {
    this.decide(this.#declared === 'http' ? 'http1' : 'tcp');
  }

  writable(): void {}

  /** Nobody is left to be served, and the timer would keep the stream. */
  over(): void {
    this.#cancel?.();
  }

  decide(protocol: Protocol | 'silent'): void {
    if (this.#decided) return;
    this.#decided = true;
    this.#cancel?.();
    try {
      this.#choosing.decided(protocol, this.#early);
    } catch (error) {
      this.#choosing.mistaken(error);
    }
  }
}

function protocolOf(sniffed: Sniffed, declared: Declared): Protocol | null {
  switch (sniffed) {
    case 'http1':
    case 'http2':
      return sniffed;
    case 'other':
      return declared === 'http' ? 'http1' : 'tcp';
    case 'undecided':
      return null;
    default:
      return unreachable(sniffed);
  }
}
