import type { TLSSocket } from 'node:tls';
import type { Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { TunnelStream } from '#platform/hbone/tunnel-stream.ts';
import { readDirectly } from '#platform/relay/direct-read.ts';
import { Http2Connection } from '#protocol/http/v2/connection.ts';
import { ERROR_CODE, PING_PAYLOAD_BYTES } from '#protocol/http/v2/constants.ts';
import type { Http2Events } from '#protocol/http/v2/events.ts';
import { TUNNEL_FLOODS } from '#protocol/http/v2/flood-guard.ts';
import { Keepalive } from '#protocol/http/v2/keepalive.ts';
import type { Http2Settings } from '#protocol/http/v2/settings.ts';
import type { Http2Stream } from '#protocol/http/v2/stream.ts';

/** The most that TLS hands out at once: one record's content. Fixed by RFC 8446 5.1. A smaller piece means that no more is at hand. */
const RECORD_BYTES_MAX = 16_384;
const WRITE_QUEUE_BYTES_MAX = TUNNEL.writeQueueBytesMax;
const PING_PAYLOAD = Buffer.alloc(PING_PAYLOAD_BYTES, 'weft');

/** What happens on a connection, told to its owner. */
export type HboneConnectionEvents = Pick<Http2Events, 'ready' | 'request' | 'goaway' | 'streamClosed'> & {
  /** The connection is over and every stream has been told; `error` says why unless it ended in order. */
  closed(error: Error | null): void;
};

/** Which side we are, and what the peer is told. */
export type HboneConnectionOptions = {
  role: 'client' | 'server';
  settings: Http2Settings;
  clock: Clock;
  mishaps: Mishaps;
  events: HboneConnectionEvents;
};

/** HTTP/2 for tunnels on an established TLS socket, which it owns. Our settings go out at once. */
export class HboneConnection {
  readonly http2: Http2Connection;
  readonly #socket: TLSSocket;
  readonly #keepalive: Keepalive;
  readonly #events: HboneConnectionEvents;
  readonly #mishaps: Mishaps;
  /** Not shared between connections: one inside another's tunnel is read while the outer one is being read. */
  readonly #record = Buffer.allocUnsafeSlow(RECORD_BYTES_MAX);
  #unflushed: TunnelStream[] = [];
  #flushPlanned = false;
  #error: Error | null = null;
  #onPong: () => void = () => {};

  constructor(socket: TLSSocket, options: HboneConnectionOptions) {
    this.#socket = socket;
    this.#events = options.events;
    this.#mishaps = options.mishaps;
    this.#keepalive = new Keepalive({
      clock: options.clock,
      sendPing: () => this.http2.ping(PING_PAYLOAD),
      lost: () => this.#onPeerSilent(),
    });
    this.http2 = new Http2Connection({
      role: options.role,
      settings: options.settings,
      transport: {
        write: (buffer, start, end) => this.#write(buffer.subarray(start, end)),
        writable: () => socket.writableLength < WRITE_QUEUE_BYTES_MAX,
      },
      floods: TUNNEL_FLOODS,
      nowMs: () => options.clock.nowMs(),
      events: { ...options.events, pong: () => this.#onPongFrame(), failed: (error) => this.end(error) },
    });
    socket.on('error', (error) => {
      this.#error ??= error;
    });
    // Sockets made in a namespace allow half-open, but no tunnel outlives its peer: without this a connection to a
    // killed agent would stay in the pool and be given out again.
    socket.on('end', () => {
      this.http2.lost();
      this.end(null);
    });
    socket.on('close', () => this.#onClose());
  }

  /** Begins to read: from here on there are events. */
  start(): void {
    const socket = this.#socket;
    for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read()) this.#receive(chunk);
    const direct = readDirectly(socket, this.#record, (bytes) => {
      this.#receive(bytes === RECORD_BYTES_MAX ? this.#record : this.#record.subarray(0, bytes));
      return true;
    });
    if (!direct) socket.on('data', (chunk) => this.#receive(chunk));
    socket.resume();
  }

  /** The Duplex of a stream. */
  tunnel(stream: Http2Stream): TunnelStream {
    return new TunnelStream(stream, { add: (tunnel) => this.#unflushed.push(tunnel) }, this.#mishaps);
  }

  /** Announces that no new stream will be served: at first softly, for good when the peer has seen that. */
  retire(reason: string): void {
    this.http2.goaway(ERROR_CODE.noError, reason, false);
    this.#onPong = () => this.http2.goaway(ERROR_CODE.noError, reason, true);
    this.http2.ping(PING_PAYLOAD);
  }

  /** Closes after what was written has been sent. */
  end(error: Error | null): void {
    this.#error ??= error;
    // A peer that does not take the rest is noticed by the keepalive.
    this.#socket.destroySoon();
  }

  /** Closes now. */
  destroy(error: Error | null): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #write(bytes: Buffer): void {
    const socket = this.#socket;
    if (!socket.writable) return;
    // An idle socket encrypts within the call; a busy one would keep the buffer, which is the caller's to reuse.
    socket.write(socket.writableLength === 0 ? bytes : Buffer.from(bytes), this.#onWritten);
  }

  readonly #onWritten = (): void => {
    if (this.#socket.writableLength < WRITE_QUEUE_BYTES_MAX) this.http2.drained();
  };

  /** Streams catch for themselves; what comes through all the same may have left the codec half-way: its connection ends. */
  #receive(chunk: Buffer): void {
    try {
      this.http2.receive(chunk);
    } catch (error) {
      this.#mishaps.report('tunnel', error);
      this.http2.goaway(ERROR_CODE.internalError, 'a mistake of the node proxy', true);
      this.end(error instanceof Error ? error : new Error(String(error)));
      this.http2.lost();
      return;
    }
    if (this.#unflushed.length === 0) return;
    if (chunk.length < RECORD_BYTES_MAX) this.#flush();
    else if (!this.#flushPlanned) {
      // A full record is rarely the last: wait for the rest of what this turn of the event loop brings.
      this.#flushPlanned = true;
      setImmediate(() => this.#flush());
    }
  }

  #flush(): void {
    this.#flushPlanned = false;
    const streams = this.#unflushed;
    this.#unflushed = [];
    for (const stream of streams) stream.flush();
  }

  #onPongFrame(): void {
    this.#keepalive.answered();
    this.#onPong();
    this.#onPong = () => {};
  }

  #onPeerSilent(): void {
    this.http2.goaway(ERROR_CODE.noError, 'PING was not answered', true);
    this.destroy(new Error('the peer has not answered PING for 20 s'));
  }

  #onClose(): void {
    this.#keepalive.stop();
    this.#flush();
    this.http2.lost();
    this.#events.closed(this.#error);
  }
}
