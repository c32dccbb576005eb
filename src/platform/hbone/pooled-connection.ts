import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock, Random } from '#model/effects/clock.ts';
import type { Mishaps } from '#model/effects/mishaps.ts';
import type { Credentials, Identity } from '#model/identity/identity.ts';
import type { TunnelRequest } from '#model/path/reach.ts';
import { TUNNEL } from '#model/settings/tunnels.ts';
import { failure } from '#platform/hbone/client-handshake.ts';
import { HboneConnection } from '#platform/hbone/connection.ts';
import { connectHeaders, readResponse, TUNNEL_STATUS } from '#protocol/hbone/headers.ts';
import { HBONE_CLIENT_SETTINGS } from '#protocol/hbone/settings.ts';
import type { TunnelOutcome } from '#protocol/hbone/transport.ts';
import { ERROR_CODE, errorCodeName } from '#protocol/http/v2/constants.ts';
import type { Header } from '#protocol/http/v2/field.ts';
import type { GrownWindows } from '#protocol/http/v2/receive-window.ts';
import type { Http2Stream } from '#protocol/http/v2/stream.ts';

const IDLE_SPREAD = 0.1;

/** `retry`: the request was not served here, another connection may serve it. `error` if there is none. */
export type TunnelAttempt = TunnelOutcome | { kind: 'retry'; error: Error };

/** A secured connection, and as whom it was opened. */
export type PooledConnectionOptions = {
  stream: ByteStream;
  credentials: Credentials;
  peer: Identity;
  /** Of all connections of the pool. */
  grown: GrownWindows;
  clock: Clock;
  random: Random;
  mishaps: Mishaps;
  /** Called once, when the connection is over; `error` unless it ended in order. */
  closed(error: Error | null): void;
};

/** One HTTP/2 connection to a peer, with the tunnels on it. */
export class PooledConnection {
  readonly credentials: Credentials;
  readonly #options: PooledConnectionOptions;
  readonly #connection: HboneConnection;
  readonly #ready = Promise.withResolvers<Error | null>();
  /** Of this connection: one length for all its idle times, which then share a timer. */
  readonly #idleMs: number;
  #reserved = 0;
  #served = false;
  #retired = false;
  #gone = false;
  #cancelIdle: Cancel = () => {};

  constructor(options: PooledConnectionOptions) {
    this.#options = options;
    this.credentials = options.credentials;
    this.#idleMs = idleMs(options.random);
    this.#connection = new HboneConnection(options.stream, {
      role: 'client',
      settings: HBONE_CLIENT_SETTINGS,
      grown: options.grown,
      clock: options.clock,
      mishaps: options.mishaps,
      events: {
        ready: () => this.#ready.resolve(null),
        request: (stream) => stream.handler,
        goaway: () => this.retire(),
        streamClosed: () => this.#onLoadChange(),
        closed: (error) => this.#onClosed(error),
      },
    });
    this.#onLoadChange();
    this.#connection.start();
  }

  /** Resolves once the peer's settings are known: null, or why they never will be. */
  ready(): Promise<Error | null> {
    return this.#ready.promise;
  }

  /** Takes a place for one tunnel, to be used by `open`; false when there is none (B16). */
  reserve(): boolean {
    const limit = Math.min(TUNNEL.streamsPerConnectionMax, this.#connection.http2.peer.concurrentStreamsMax);
    if (this.#retired || this.#load() >= limit) return false;
    this.#reserved++;
    this.#cancelIdle();
    return true;
  }

  /** Opens a tunnel in a place taken with `reserve`. */
  open(request: TunnelRequest): Promise<TunnelAttempt> {
    this.#reserved--;
    const { promise, resolve } = Promise.withResolvers<TunnelAttempt>();
    const settle = (attempt: TunnelAttempt) => {
      cancelTimer();
      resolve(attempt);
    };
    const cancelTimer = this.#options.clock.after(TUNNEL.responseTimeoutMs, () => {
      settle(noAnswer('the peer has not answered the CONNECT within 20 s'));
      stream?.reset(ERROR_CODE.cancel);
    });
    const handler = {
      response: (headers: readonly Header[] | null) => {
        const attempt = stream === null ? null : this.#onResponse(stream, headers ?? []);
        if (attempt !== null) settle(attempt);
      },
      data() {},
      end: () => settle(noAnswer('the peer ended the CONNECT without an answer')),
      reset: (errorCode: number, unprocessed: boolean) => settle(this.#onReset(errorCode, unprocessed)),
      writable() {},
    };
    const stream = this.#retired ? null : this.#connection.http2.open(connectHeaders(request), handler);
    if (stream === null) {
      settle({ kind: 'retry', error: new Error('the connection is closing') });
      this.#onLoadChange();
    }
    return promise;
  }

  /** Takes no new tunnels; closes when the last one has ended (B20). */
  retire(): void {
    if (this.#retired) return;
    this.#retired = true;
    this.#onLoadChange();
  }

  /** Closes now, cutting the tunnels. */
  destroy(error: Error | null): void {
    this.#retired = true;
    this.#connection.destroy(error);
  }

  #load(): number {
    return this.#connection.http2.streams + this.#reserved;
  }

  #onResponse(stream: Http2Stream, headers: readonly Header[]): TunnelAttempt | null {
    const answer = readResponse(headers);
    // Interim answers (1xx) say nothing.
    if (answer !== null && answer.status < 200) return null;
    if (answer?.status !== TUNNEL_STATUS.open) {
      stream.end(() => {});
      return answer === null ? noAnswer('the answer to the CONNECT is malformed') : { kind: 'refused', status: answer.status };
    }
    this.#served = true;
    const bytes = this.#connection.tunnel(stream);
    stream.handler = bytes.handler;
    return { kind: 'open', stream: bytes, peer: this.#options.peer, baggage: answer.baggage };
  }

  #onReset(errorCode: number, unprocessed: boolean): TunnelAttempt {
    const error = new Error(`the peer reset the CONNECT (${errorCodeName(errorCode)})`);
    // A connection that has worked before was probably dead already when the CONNECT was written to it.
    const stale = this.#served && errorCode === ERROR_CODE.connectError;
    return unprocessed || stale ? { kind: 'retry', error } : noAnswer(error.message);
  }

  #onLoadChange(): void {
    this.#cancelIdle();
    if (this.#load() > 0 || this.#gone) return;
    if (this.#retired) this.#connection.finish(null);
    else this.#cancelIdle = this.#options.clock.after(this.#idleMs, () => this.retire());
  }

  #onClosed(error: Error | null): void {
    this.#gone = true;
    this.#retired = true;
    this.#cancelIdle();
    this.#ready.resolve(error ?? new Error('the peer closed the connection before it spoke HTTP/2'));
    this.#options.closed(error);
  }
}

/** How long an unused connection stays (B19): spread, so that those opened together do not all end together. */
function idleMs(random: Random): number {
  return TUNNEL.idleTimeoutMs * (1 + random() * IDLE_SPREAD);
}

function noAnswer(message: string): TunnelOutcome {
  return failure('CONNECT', 'WEFT_HBONE_CONNECT', message, 'look at the log of the destination node for this connection');
}
