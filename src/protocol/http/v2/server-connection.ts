import { NOWHERE } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import type { Entry } from '#model/effects/mishaps.ts';
import { HTTP2 } from '#model/settings/http.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { RequestHandler, RequestHead, ServerConnection } from '#protocol/http/message.ts';
import { ERROR_CODE, type Http2Error, PING_PAYLOAD_BYTES } from './constants.ts';
import type { Field } from './field.ts';
import { readRequestHead } from './heads.ts';
import type { HpackEncoder } from './hpack-encoder.ts';
import { type MessageBytes, MessageConnection, type MessageOwner } from './message-connection.ts';
import { IGNORE, type StreamHandler } from './roles.ts';
import { Http2ServerStream, ServerStreamHandler, type ServerStreamHost } from './server-stream.ts';
import type { Http2Stream } from './stream.ts';
import type { TunnelCarrier } from './tunnel.ts';

const PING = Buffer.alloc(PING_PAYLOAD_BYTES, 'weft');

/** Serves HTTP/2 on a stream that begins with the client preface; `early` was taken from it before. */
export function acceptHttp2(
  stream: MessageBytes,
  handler: RequestHandler,
  clock: Clock,
  early: Buffer | null = null,
): ServerConnection {
  return new Http2ServerConnection(stream, handler, clock, early);
}

/** `soft`: what is on its way is still served. `final`: nothing new is, and the last stream closes the connection. */
type Phase = 'open' | 'soft' | 'final';

class Http2ServerConnection implements ServerConnection, MessageOwner, ServerStreamHost {
  readonly #connection: MessageConnection;
  readonly #handler: RequestHandler;
  readonly #clock: Clock;
  #phase: Phase = 'open';
  #cancelDrain: Cancel = () => {};
  #idleRounds = 0;
  /** When the last requests were withdrawn, oldest first. */
  #prematureMs: number[] = [];

  constructor(stream: MessageBytes, handler: RequestHandler, clock: Clock, early: Buffer | null) {
    this.#handler = handler;
    this.#clock = clock;
    this.#connection = new MessageConnection('server', stream, this, clock);
    if (early !== null) this.#connection.bytes(early, 0, early.length);
    this.#connection.start();
  }

  get encoder(): HpackEncoder {
    return this.#connection.http2.encoder;
  }

  /** Whose ends they are is known to whoever accepted the connection. */
  get carrier(): TunnelCarrier {
    const report = (_entry: Entry, error: unknown): void => this.#handler.onMistake(error);
    return { remote: NOWHERE, local: NOWHERE, mishaps: { report }, cutBy: null };
  }

  /** Two GOAWAYs (RFC 9113 6.8): requests that were sent before the client saw the first are served as well. */
  drain(): void {
    if (this.#phase !== 'open' || this.#connection.isClosed) return;
    this.#phase = 'soft';
    const { http2 } = this.#connection;
    http2.goaway(ERROR_CODE.noError, 'draining', false);
    http2.ping(PING);
    this.#cancelDrain = this.#clock.after(HTTP2.drainPingMs, () => this.#finish());
  }

  closeIfIdle(roundsMax: number): void {
    if (this.#connection.http2.streams > 0) this.#idleRounds = 0;
    else if (++this.#idleRounds > roundsMax) this.drain();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  ready(): void {}

  request(stream: Http2Stream, fields: readonly Field[], ended: boolean): StreamHandler {
    this.#idleRounds = 0;
    const result = readRequestHead(fields, ended, this.#handler.pathNormalization);
    switch (result.kind) {
      case 'ok':
        return this.#begin(stream, result.head);
      case 'refused':
        return this.#refuse(stream, result.details);
      case 'malformed':
        stream.reset(ERROR_CODE.protocolError);
        this.#handler.onProblem({ status: 0, details: `http2: ${result.details}` });
        return IGNORE;
    }
  }

  tooLarge(stream: Http2Stream): StreamHandler {
    // W24: the stream ends in an error; the others of its connection go on.
    stream.reset(ERROR_CODE.enhanceYourCalm);
    this.#handler.onProblem({ status: 0, details: 'headers_too_large' });
    return IGNORE;
  }

  goaway(): void {}

  pong(): void {
    if (this.#phase === 'soft') this.#finish();
  }

  streamClosed(): void {
    if (this.#phase === 'final' && this.#connection.http2.streams === 0) this.#connection.close();
  }

  failed(error: Http2Error): void {
    if (error.http2Code === ERROR_CODE.enhanceYourCalm)
      this.#handler.onProblem({ status: 0, details: `http2: ${error.message}` });
    this.#connection.close();
  }

  closed(): void {
    this.#cancelDrain();
  }

  mistaken(error: unknown): void {
    this.#handler.onMistake(error);
  }

  touched(stream: Http2ServerStream): void {
    this.#connection.touched(stream);
  }

  /** A client may withdraw what takes too long; withdrawing at once, again and again, only costs us (W74). */
  withdrawn(openedMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - openedMs >= HTTP2.prematureWithinMs || this.#connection.isClosed) return;
    const times = this.#prematureMs;
    times.push(nowMs);
    if (times.length > HTTP2.prematureResetsMax) times.shift();
    if (times.length < HTTP2.prematureResetsMax || nowMs - (times[0] ?? nowMs) >= HTTP2.prematureWithinMs) return;
    const details = `${HTTP2.prematureResetsMax} requests withdrawn within ${HTTP2.prematureWithinMs} ms`;
    this.#connection.http2.goaway(ERROR_CODE.enhanceYourCalm, details, true);
    this.#connection.close();
    this.#handler.onProblem({ status: 0, details: `http2.too_many_resets: ${details}` });
  }

  #begin(stream: Http2Stream, head: RequestHead): StreamHandler {
    const half = new Http2ServerStream(stream, head, this, this.#clock.monotonicMs());
    try {
      half.listen(this.#handler.onRequest(head, half));
    } catch (error) {
      this.#handler.onMistake(error);
      stream.reset(ERROR_CODE.internalError);
    }
    return new ServerStreamHandler(half);
  }

  #refuse(stream: Http2Stream, details: string): StreamHandler {
    const status = 400;
    const head: RequestHead = { ...NO_REQUEST, hasBody: !stream.remoteEnded };
    const half = new Http2ServerStream(stream, head, this, this.#clock.monotonicMs());
    const body = Buffer.from(details);
    half.respond({ status, headers: new StringHeaders(['content-type', 'text/plain']), contentLength: body.length }, false);
    half.write(body);
    half.end(null);
    this.#handler.onProblem({ status, details });
    return new ServerStreamHandler(half);
  }

  #finish(): void {
    if (this.#phase !== 'soft') return;
    this.#cancelDrain();
    this.#phase = 'final';
    this.#connection.http2.goaway(ERROR_CODE.noError, 'draining', true);
    this.streamClosed();
  }
}

/** Stands for a request whose head could not be read. */
const NO_REQUEST: RequestHead = {
  version: 'http2',
  method: '',
  target: '',
  authority: '',
  headers: new StringHeaders([]),
  hasBody: true,
  contentLength: null,
  upgrade: null,
};
