import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Cancel } from '#model/effects/clock.ts';
import { WAYPOINT } from '#model/settings/waypoints.ts';
import type {
  ClientConnection,
  ClientEvents,
  ClientStream,
  HttpVersion,
  RequestHead,
  ResponseHead,
} from '#protocol/http/message.ts';
import type { ConnectionPool } from '#waypoint/upstream/connection-pool.ts';
import type { Acquired } from '#waypoint/upstream/waiting-room.ts';

/** How a copy ended: with an answer, which nobody reads; without one; or it could not be made whole. */
export type MirrorOutcome = 'answered' | 'failed' | 'dropped';

/** Where a copy goes, and how long it may take. */
export type MirrorWay = { readonly pool: ConnectionPool; readonly version: HttpVersion; readonly cancelTimer: Cancel };

/**
 * A copy of one request. Nothing here holds the request itself up: what the copy's upstream does not take at once is kept up
 * to a bound, and past it the copy is given up.
 */
export class MirroredRequest implements ClientEvents {
  readonly #head: RequestHead;
  readonly #way: MirrorWay;
  readonly #onOver: (outcome: MirrorOutcome) => void;
  /** Pieces that came while there was no connection, or one that was full. */
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** Null until the head has gone out, and for requests without a body, of which nothing else is sent. */
  #upstream: ClientStream | null = null;
  /** It has said that it takes no more for now. */
  #blocked = false;
  /** The whole body has come. */
  #ended: boolean;
  #over = false;

  /** `head` must be its own: it is sent after the request's has been. */
  constructor(head: RequestHead, way: MirrorWay, onOver: (outcome: MirrorOutcome) => void) {
    this.#head = head;
    this.#way = way;
    this.#onOver = onOver;
    this.#ended = !head.hasBody;
  }

  /** Looks for a connection; until there is one, the body is kept. */
  start(): void {
    const { pool, version } = this.#way;
    const acquired = pool.acquire(version, false);
    if (!(acquired instanceof Promise)) this.#send(acquired);
    else
      acquired.then(
        (outcome) => this.#arrive(outcome),
        () => this.#finish('failed'),
      );
  }

  /** A piece of the body, lent. */
  take(data: Buffer): void {
    if (this.#over) return;
    if (this.#upstream !== null && !this.#blocked) {
      this.#blocked = !this.#upstream.write(data);
      this.#upstream?.flush();
      return;
    }
    this.#waitingBytes += data.length;
    if (this.#waitingBytes > WAYPOINT.mirrorBytesMax) this.abandon();
    else this.#waiting.push(Buffer.from(data));
  }

  /** The body is complete. */
  end(): void {
    this.#ended = true;
    this.#give();
  }

  /** The request will never be whole, or the copy takes too long. */
  abandon(): void {
    if (this.#over) return;
    this.#upstream?.abort();
    this.#finish('dropped');
  }

  onInform(): void {}

  onResponse(_head: ResponseHead, end: boolean): void {
    if (end) this.#finish('answered');
  }

  /** Taken as fast as it comes, and forgotten. */
  onResponseBody(): boolean {
    return true;
  }

  onResponseEnd(): void {
    this.#finish('answered');
  }

  onUpgrade(_head: ResponseHead, stream: ByteStream): void {
    stream.reset();
    this.#finish('answered');
  }

  onFailure(): void {
    this.#finish('failed');
  }

  onUpstreamWritable(): void {
    this.#blocked = false;
    this.#give();
  }

  onResponseTurnEnd(): void {}

  #arrive(outcome: Acquired): void {
    const { pool } = this.#way;
    if (outcome.kind === 'failed') this.#finish('failed');
    // Given up meanwhile: the next request can use it.
    else if (this.#over) pool.onIdle(outcome.connection);
    // Others waited for the same one, and have filled it.
    else if (outcome.connection.capacity() === 0 && !outcome.connection.isIdle()) this.start();
    else this.#send(outcome.connection);
  }

  #send(connection: ClientConnection): void {
    const stream = connection.send(this.#head, !this.#head.hasBody, this);
    // It may have failed at once.
    if (this.#over || !this.#head.hasBody) return;
    this.#upstream = stream;
    this.#give();
  }

  /** As much of what waits as the upstream takes; the end once nothing waits any more. */
  #give(): void {
    const upstream = this.#upstream;
    if (upstream === null || this.#over) return;
    while (!this.#blocked) {
      const piece = this.#waiting.shift();
      if (piece === undefined) break;
      this.#waitingBytes -= piece.length;
      this.#blocked = !upstream.write(piece);
    }
    if (this.#ended && this.#waiting.length === 0) upstream.end(null);
    upstream.flush();
  }

  /** Once, whatever comes after. */
  #finish(outcome: MirrorOutcome): void {
    if (this.#over) return;
    this.#over = true;
    this.#upstream = null;
    this.#waiting.length = 0;
    this.#way.cancelTimer();
    this.#onOver(outcome);
  }
}
