import type { ByteStream, StreamOver, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { HTTP } from '#model/settings/http.ts';
import type { UpstreamProblem } from '#protocol/http/message.ts';

/** A connection that reads a byte stream. Its own names are taken: its `end` is the end of a message. */
export type ReadingOwner = {
  /** As `bytes` of a reader: how many were taken. */
  onBytes(buffer: Buffer, start: number, end: number): number;
  onEnd(): void;
  onWritable(): void;
  onOver(how: StreamOver): void;
  /** One of these threw. */
  mistaken(error: unknown): void;
};

/** Reads a byte stream for a connection, which hears of its own mistakes before the stream would. */
export class Reading implements StreamReader {
  readonly #owner: ReadingOwner;

  constructor(owner: ReadingOwner) {
    this.#owner = owner;
  }

  bytes(buffer: Buffer, start: number, end: number): number {
    try {
      return this.#owner.onBytes(buffer, start, end);
    } catch (error) {
      this.#owner.mistaken(error);
      return end - start;
    }
  }

  end(): void {
    try {
      this.#owner.onEnd();
    } catch (error) {
      this.#owner.mistaken(error);
    }
  }

  writable(): void {
    try {
      this.#owner.onWritable();
    } catch (error) {
      this.#owner.mistaken(error);
    }
  }

  over(how: StreamOver): void {
    try {
      this.#owner.onOver(how);
    } catch (error) {
      this.#owner.mistaken(error);
    }
  }
}

/** What a request under way fails of when its connection is over. */
export function lossOf(how: StreamOver): Pick<UpstreamProblem, 'kind' | 'details'> {
  switch (how.kind) {
    case 'finished':
      return { kind: 'closed', details: 'connection termination' };
    case 'reset':
      return { kind: how.code === 'EPIPE' ? 'closed' : 'remote-reset', details: `the connection was reset (${how.code})` };
    case 'failed':
      return { kind: 'closed', details: how.error.message };
    default:
      return how satisfies never;
  }
}

/**
 * Ends our direction so that the peer can still read all that was written: what it sends meanwhile has to be read and dropped
 * (unread bytes would make a reset of the end), and the stream is over when the peer ends, too. For one that does not, `cut` is
 * called. Returns how to call that off. `isLast`: the peer has said that it sends no more.
 */
export function endGently(stream: ByteStream, clock: Clock, isLast: boolean, cut: () => void): Cancel {
  if (isLast && stream.leave !== undefined) stream.leave();
  else stream.end();
  stream.resume();
  let cancel: Cancel = () => {};
  const check = (): void => {
    if (stream.pendingBytes === 0) cut();
    else cancel = clock.after(HTTP.lingerMs, check);
  };
  if (!stream.isOver) cancel = clock.after(HTTP.lingerMs, check);
  return () => cancel();
}
