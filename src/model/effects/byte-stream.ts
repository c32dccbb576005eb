import { type IpAddress, parseIp } from '#model/address/ip.ts';

/** One end of a connection. `port`: 1-65535; see NOWHERE. */
export type Endpoint = { readonly ip: IpAddress; readonly port: number };

/** Both ends of a connection that was gone before it was accepted, or of a link-local one, whose address says nothing beyond its link. */
export const NOWHERE: Endpoint = { ip: parseIp('::'), port: 0 };

/**
 * How a stream came to be over, in both directions. A `never` in the last branch of a `switch` over `kind` makes the
 * compiler say who forgot one.
 * - `finished`: both directions ended in order, and all that was written has been handed to the kernel or the tunnel.
 * - `reset`: the peer broke off (RST, RST_STREAM, a TLS connection without close_notify); what was under way is lost.
 * - `failed`: our side or the way broke (no route, no memory, a bad TLS record). `code`: an errno's name or a TLS reason.
 */
export type StreamOver =
  | { readonly kind: 'finished' }
  | { readonly kind: 'reset'; readonly code: string }
  | { readonly kind: 'failed'; readonly code: string; readonly error: Error };

/** The end in order. */
export const FINISHED: StreamOver = { kind: 'finished' };

/** How a stream ends whose descriptor or socket says this; `error` where there is one already. */
export function brokenBy(code: string, error?: Error): StreamOver {
  // ENOTCONN: our end came to a socket that the peer had reset.
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ENOTCONN') return { kind: 'reset', code };
  return { kind: 'failed', code, error: error ?? new Error(`the connection failed: ${code}`) };
}

/** How a stream ends whose reader threw this. */
export function mistakenReader(thrown: unknown): StreamOver {
  return { kind: 'failed', code: 'EREADER', error: thrown instanceof Error ? thrown : new Error(String(thrown)) };
}

/**
 * Whoever takes what a stream brings. Every method must be there: an end, a reset or a failure is nobody's event to forget.
 * An exception in one of them costs this stream: it is reported, reset, and then told `over`.
 */
export type StreamReader = {
  /**
   * Bytes `start` to `end` of `buffer`, lent until the method returns; they, and the `HEADROOM_BYTES` that there always are
   * before `start`, may be overwritten. Returns how many were taken, from the front; when not all, the stream pauses by itself and offers
   * the rest again, first, after `resume` or to the next reader.
   */
  bytes(buffer: Buffer, start: number, end: number): number;
  /** How many bytes it can make use of now; without it, or more: whatever there is. It may be offered more than that. */
  room?(): number;
  /** The peer will send no more; all that it had sent was delivered. Our own direction goes on. */
  end(): void;
  /** There is room again, after `write` said false. */
  writable(): void;
  /** The last call. The descriptor is given back by now. */
  over(how: StreamOver): void;
};

/** Room in front of delivered bytes: an HTTP/2 frame's head, so that a chunk becomes a frame in place. Fixed by RFC 9113 4.1. */
export const HEADROOM_BYTES = 9;

/** A copy of bytes, with that room in front: they begin at HEADROOM_BYTES. For what a reader did not take. */
export function withHeadroom(buffer: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(HEADROOM_BYTES + end - start);
  buffer.copy(copy, HEADROOM_BYTES, start, end);
  return copy;
}

/**
 * A connection, a TLS connection or a tunnel: bytes in both directions, each of which ends by itself.
 * What one turn of the loop writes leaves as one piece at the end of the turn, or sooner when it is much.
 * Nothing is delivered from inside of a call to the stream: events come from the loop.
 */
export type ByteStream = {
  /** The peer, and our own end, of the connection or of that which carries the tunnel. */
  readonly remote: Endpoint;
  readonly local: Endpoint;
  /**
   * Begins to deliver to `reader`; nothing is read before. A second call hands the stream over: what the former reader
   * did not take comes first, then an end that has already been told is told again; the former reader hears nothing more.
   */
  read(reader: StreamReader): void;
  /**
   * Delivers no bytes until `resume`. An end is told all the same when no bytes are before it, and a reset as soon as it is heard
   * of: node:net hears nothing of a peer while as much waits as it reads ahead.
   */
  pause(): void;
  resume(): void;
  /**
   * Takes bytes `start` to `end` of `buffer` before it returns: sent, or copied. False: so much waits that the caller should
   * stop until `writable`; the bytes are taken nevertheless. After `end`, or when the stream is over, they go nowhere.
   */
  write(buffer: Buffer, start: number, end: number): boolean;
  /** As `write`, for bytes that a reader was lent: they and the `HEADROOM_BYTES` before `start` may be overwritten on the way. */
  pass(buffer: Buffer, start: number, end: number): boolean;
  /** How many bytes would not have to wait; without it: nobody can say. */
  room?(): number;
  /** Bytes taken that have not been handed on. */
  readonly pendingBytes: number;
  /** No more will be written: the peer is told after all that was. Its direction goes on. */
  end(): void;
  /**
   * As `end`, of a peer that has said that it sends no more: nobody waits for its end, and the stream is over as soon as all is handed on. What it
   * sends all the same may cost it what it has not read yet. Without it: where nothing would be gained.
   */
  leave?(): void;
  /** Breaks off now, in both directions: the peer sees a reset, and what waits is lost. The reader is told nothing more. */
  reset(): void;
  /** Both directions have ended, in order or not, and the descriptor is given back. */
  readonly isOver: boolean;
  /**
   * Calls `listener` when the stream is over, however it came to be, also by our own `reset`: for those who count streams, not
   * for those who read them. At once when it is over already. Several may ask.
   */
  onOver(listener: () => void): void;
};

/** What came of dialling. `refused`: somebody answered that nobody listens there; `deadline`: nobody answered in time. */
export type Dialled =
  | { readonly kind: 'open'; readonly stream: ByteStream }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'deadline' }
  | { readonly kind: 'failed'; readonly code: string; readonly error: Error };
