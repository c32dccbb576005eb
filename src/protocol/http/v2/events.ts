import type { Http2Error } from './constants.ts';
import type { Header } from './hpack-table.ts';
import type { Http2Settings } from './settings.ts';
import type { Http2Stream, StreamHandler, Transport } from './stream.ts';

/** What happens on a connection, told to its owner. */
export type Http2Events = {
  /** The peer's first SETTINGS: it speaks HTTP/2, and its limits are known. */
  ready(): void;
  /** Server only: a new stream; the answer is its handler. */
  request(stream: Http2Stream, headers: readonly Header[], ended: boolean): StreamHandler;
  /** The peer wants no more new streams. */
  goaway(errorCode: number): void;
  pong(): void;
  /** A stream has ended; `Http2Connection.streams` no longer counts it. */
  streamClosed(): void;
  /** The peer broke the protocol; GOAWAY is written, every stream is reset. Close the transport. */
  failed(error: Http2Error): void;
};

/** Which side we are, what we announce, where bytes go and who is told. */
export type Http2Options = {
  role: 'client' | 'server';
  settings: Http2Settings;
  transport: Transport;
  events: Http2Events;
  nowMs: () => number;
};
