import type { Field } from './field.ts';
import type { HpackEncoder } from './hpack-encoder.ts';
import type { ConnectionWindow } from './receive-window.ts';
import type { PeerSettings } from './settings.ts';

/** Where the bytes of a connection go. */
export type Transport = {
  /** Takes bytes `start` to `end` of `buffer` before it returns: the caller may overwrite them. */
  write(buffer: Buffer, start: number, end: number): void;
  /** False while enough is queued; `Http2Connection.drained` tells when it is true again. */
  writable(): boolean;
};

/** What happens to a stream, told to its owner. Nothing follows `reset`. */
export type StreamHandler = {
  /**
   * A client's response, interim ones included, or the trailers of either side. `ended` when nothing follows; null: more
   * than a header list may hold (told only where `Http2Events.tooLarge` is).
   */
  response(headers: readonly Field[] | null, ended: boolean): void;
  /** Bytes `start` to `end`, valid during the call only; give them back with `Http2Stream.giveBack` once they are taken. */
  data(buffer: Buffer, start: number, end: number): void;
  end(): void;
  /** `unprocessed`: the peer certainly did nothing with the stream, it may be tried again elsewhere. */
  reset(errorCode: number, unprocessed: boolean): void;
  /** More may be sent after `send` has returned false. */
  writable(): void;
  /** Our direction has ended, and all of it is on its way. */
  finished?(): void;
};

/** Of a stream that is answered already: what still comes on it is nobody's. */
export const IGNORE: StreamHandler = { response() {}, data() {}, end() {}, reset() {}, writable() {} };

/** Trailers that wait for the body before them. Encoded only when they leave: a peer's table follows the order on the wire. */
export type TrailerSource = { encode(encoder: HpackEncoder): void };

/** A stream as its connection keeps it. */
type Flushed = { readonly id: number; flush(): void };

/** What a stream needs of its connection. */
export type StreamHost = {
  readonly transport: Transport;
  /** Bytes the peer allows us on the whole connection. */
  sendWindowBytes: number;
  readonly peer: PeerSettings;
  readonly encoder: HpackEncoder;
  readonly window: ConnectionWindow;
  /** Streams with something to send that could not. */
  readonly blocked: Set<Flushed>;
  closed(stream: Flushed): void;
};
