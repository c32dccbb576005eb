import type { Http2Error } from './constants.ts';
import type { Field } from './field.ts';
import type { FloodLimits } from './flood-guard.ts';
import type { GrownWindows } from './receive-window.ts';
import type { StreamHandler, Transport } from './roles.ts';
import type { Http2Settings } from './settings.ts';
import type { Http2Stream } from './stream.ts';

/** What happens on a connection, told to its owner. */
export type Http2Events = {
  /** The peer's first SETTINGS: it speaks HTTP/2, and its limits are known. */
  ready(): void;
  /** Server only: a new stream; the answer is its handler. */
  request(stream: Http2Stream, headers: readonly Field[], ended: boolean): StreamHandler;
  /** A head that no list may hold: server only, a new stream. Without it, such a head ends the connection. */
  tooLarge?(stream: Http2Stream): StreamHandler;
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
  /** Shared by connections whose windows grow within one bound; without it, this one has a bound to itself. */
  grown?: GrownWindows | undefined;
  transport: Transport;
  events: Http2Events;
  floods: FloodLimits;
  nowMs: () => number;
};
