import type { ByteStream, Endpoint, StreamOver, StreamReader } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { Refusal } from '#model/telemetry/close-cause.ts';
import { Http2Connection } from '#protocol/http/v2/connection.ts';
import { ERROR_CODE, PING_PAYLOAD_BYTES } from '#protocol/http/v2/constants.ts';
import type { Http2Events } from '#protocol/http/v2/events.ts';
import { TUNNEL_FLOODS } from '#protocol/http/v2/flood-guard.ts';
import { Keepalive } from '#protocol/http/v2/keepalive.ts';
import type { GrownWindows } from '#protocol/http/v2/receive-window.ts';
import type { Http2Settings } from '#protocol/http/v2/settings.ts';
import type { Http2Stream } from '#protocol/http/v2/stream.ts';
import { Tunnel, type TunnelCarrier } from '#protocol/http/v2/tunnel.ts';

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
  /** Of all connections of the workload. */
  grown: GrownWindows;
  clock: Clock;
  mishaps: Mishaps;
  events: HboneConnectionEvents;
};

/** HTTP/2 for tunnels on an established TLS connection, which it owns. Our settings go out at once. */
export class HboneConnection implements StreamReader, TunnelCarrier {
  readonly http2: Http2Connection;
  readonly mishaps: Mishaps;
  readonly #stream: ByteStream;
  readonly #clock: Clock;
  readonly #keepalive: Keepalive;
  readonly #events: HboneConnectionEvents;
  /** So much waits for the kernel that the streams have to wait, too. */
  #full = false;
  #error: Error | null = null;
  #over = false;
  #ending = false;
  #cancelLinger: Cancel = () => {};
  #onPong: () => void = () => {};

  constructor(stream: ByteStream, options: HboneConnectionOptions) {
    this.#stream = stream;
    this.#clock = options.clock;
    this.#events = options.events;
    this.mishaps = options.mishaps;
    this.#keepalive = new Keepalive({
      clock: options.clock,
      sendPing: () => this.http2.ping(PING_PAYLOAD),
      lost: () => this.#onPeerSilent(),
    });
    this.http2 = new Http2Connection({
      role: options.role,
      settings: options.settings,
      grown: options.grown,
      transport: { write: (buffer, start, end) => this.#write(buffer, start, end), writable: () => !this.#full },
      floods: TUNNEL_FLOODS,
      nowMs: () => options.clock.monotonicMs(),
      events: { ...options.events, pong: () => this.#onPongFrame(), failed: (error) => this.finish(error) },
    });
  }

  get remote(): Endpoint {
    return this.#stream.remote;
  }

  get cutBy(): Refusal | null {
    return this.#error instanceof Refusal ? this.#error : null;
  }

  get local(): Endpoint {
    return this.#stream.local;
  }

  /** Begins to read: from here on there are events. */
  start(): void {
    this.#stream.read(this);
  }

  /** The byte stream of a CONNECT. */
  tunnel(stream: Http2Stream): Tunnel {
    return new Tunnel(stream, this);
  }

  /** Announces that no new stream will be served: at first softly, for good when the peer has seen that, which `announced` is told. */
  retire(reason: string, announced: () => void): void {
    this.http2.goaway(ERROR_CODE.noError, reason, false);
    this.#onPong = () => {
      this.http2.goaway(ERROR_CODE.noError, reason, true);
      announced();
    };
    this.http2.ping(PING_PAYLOAD);
  }

  /** Closes after what was written has been sent; for good when the peer has closed, too, or has not for a while. */
  finish(error: Error | null): void {
    this.#error ??= error;
    if (this.#ending || this.#over) return;
    this.#ending = true;
    this.#events.goaway(ERROR_CODE.noError); // it must not be given out again, although it is not over yet
    this.#keepalive.stop();
    this.#stream.end();
    this.#cancelLinger = this.#clock.after(TUNNEL.lingerMs, () => this.destroy(null));
  }

  /** Closes now. */
  destroy(error: Error | null): void {
    this.#error ??= error;
    this.#stream.reset();
    this.#onOver();
  }

  /** Streams catch for themselves; what comes through all the same may have left the codec half-way: its connection ends. */
  bytes(buffer: Buffer, start: number, end: number): number {
    try {
      this.http2.receive(buffer, start, end);
    } catch (error) {
      this.mishaps.report('tunnel', error);
      this.http2.goaway(ERROR_CODE.internalError, 'a mistake of the node proxy', true);
      this.finish(error instanceof Error ? error : new Error(String(error)));
      this.http2.lost();
    }
    return end - start;
  }

  /** No tunnel outlives its peer: a connection to a killed agent would stay in the pool and be given out again. */
  end(): void {
    this.http2.lost();
    this.finish(null);
  }

  writable(): void {
    this.#full = false;
    this.http2.drained();
  }

  over(how: StreamOver): void {
    switch (how.kind) {
      case 'finished':
        break;
      case 'reset':
        this.#error ??= new Error(`the peer broke the connection off (${how.code})`);
        break;
      case 'failed':
        this.#error ??= how.error;
        break;
      default:
        how satisfies never;
    }
    this.#onOver();
  }

  #write(buffer: Buffer, start: number, end: number): void {
    if (!this.#stream.write(buffer, start, end)) this.#full = true;
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

  #onOver(): void {
    if (this.#over) return;
    this.#over = true;
    this.#keepalive.stop();
    this.#cancelLinger();
    this.http2.lost();
    this.#events.closed(this.#error);
  }
}
