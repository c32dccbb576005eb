import type { ByteStream, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { regardless } from '#model/effects/mishaps.ts';
import { HTTP, HTTP2 } from '#model/settings/http.ts';
import { Http2Connection } from './connection.ts';
import { DEFAULT_FRAME_BYTES_MAX, ERROR_CODE } from './constants.ts';
import type { Http2Events } from './events.ts';
import type { FloodLimits } from './flood-guard.ts';
import type { Http2Settings } from './settings.ts';

/** What both sides of a waypoint announce. */
const HTTP_SETTINGS: Http2Settings = {
  streamWindowBytes: HTTP2.firstWindowBytes,
  streamWindowBytesMax: HTTP2.streamWindowBytes,
  grownWindowsBytesMax: HTTP2.connectionWindowBytes,
  connectionWindowBytes: HTTP2.connectionWindowBytes,
  giveBack: 'on-arrival',
  frameBytesMax: DEFAULT_FRAME_BYTES_MAX,
  concurrentStreamsMax: HTTP2.concurrentStreamsMax,
  headerListBytesMax: HTTP2.headerListBytesMax,
  headerBlockBytesMax: HTTP2.headerBlockBytesMax,
  connectProtocol: true,
};

/** What a client or an upstream may do that costs it nothing. */
const HTTP_FLOODS: FloodLimits = {
  reset: { burst: HTTP2.resetBurst, perSecond: HTTP2.resetsPerSecond },
  control: { burst: HTTP2.controlBurst, perSecond: HTTP2.controlsPerSecond },
  empty: { burst: HTTP2.emptyBurst, perSecond: HTTP2.emptiesPerSecond },
};

/** What HTTP/2 needs of a byte stream: whoever is at its ends is known elsewhere. */
export type MessageBytes = Omit<ByteStream, 'remote' | 'local'>;

/** A stream that something was told of in a read: all that the read brought has been told now. */
type TurnStream = { turnEnd(): void };

/** Who owns a connection: what it is told beside its events. */
export type MessageOwner = Http2Events & {
  /** No stream is left and none will come: told once, before the byte stream has closed. */
  closed(): void;
  /** A mistake of ours that no single stream is to blame for. */
  mistaken(error: unknown): void;
};

/** One HTTP/2 connection of messages on a byte stream, which it owns. Ends of either kind come together here. */
export class MessageConnection implements StreamReader {
  readonly http2: Http2Connection;
  readonly #stream: MessageBytes;
  readonly #owner: MessageOwner;
  readonly #clock: Clock;
  #touched: TurnStream[] = [];
  #full = false;
  #isClosed = false;
  #cancelLinger: Cancel = () => {};

  constructor(role: 'client' | 'server', stream: MessageBytes, owner: MessageOwner, clock: Clock) {
    this.#stream = stream;
    this.#owner = owner;
    this.#clock = clock;
    this.http2 = new Http2Connection({
      role,
      settings: HTTP_SETTINGS,
      transport: {
        write: (buffer, start, end) => {
          if (!stream.write(buffer, start, end)) this.#full = true;
        },
        writable: () => !this.#full,
      },
      events: owner,
      nowMs: () => clock.monotonicMs(),
      floods: HTTP_FLOODS,
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Its `turnEnd` is called when the read that brought it something is done. */
  touched(stream: TurnStream): void {
    this.#touched.push(stream);
  }

  /** Begins to read: from here on there are events. */
  start(): void {
    this.#stream.read(this);
  }

  bytes(buffer: Buffer, start: number, end: number): number {
    this.#caught(() => this.http2.receive(buffer, start, end));
    this.#caught(() => this.#endTurn());
    return end - start;
  }

  /** No peer of HTTP/2 goes on reading after it has ended: whatever was under way is lost, and nothing new can come. */
  end(): void {
    this.close();
  }

  writable(): void {
    this.#full = false;
    this.#caught(() => this.http2.drained());
  }

  over(): void {
    this.#cancelLinger();
    this.#lose();
  }

  /** Ends in order: what was written still goes out. A peer that does not end as well is cut off. */
  close(): void {
    if (this.#isClosed) return;
    this.#lose();
    this.#stream.end();
    this.#cancelLinger = this.#clock.after(HTTP.lingerMs, () => this.#stream.reset());
  }

  /** Breaks off. */
  destroy(): void {
    this.#cancelLinger();
    this.#stream.reset();
    this.#lose();
  }

  #endTurn(): void {
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = [];
    for (const stream of touched) stream.turnEnd();
  }

  #lose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    regardless(() => this.http2.lost());
    this.#owner.closed();
  }

  /** Streams catch for themselves: what comes through all the same may have left the codec half-way. */
  #caught(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#owner.mistaken(error);
      regardless(() => this.http2.goaway(ERROR_CODE.internalError, 'a mistake of the waypoint', true));
      this.close();
    }
  }
}
