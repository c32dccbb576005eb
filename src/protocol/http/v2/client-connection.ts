import type { Clock } from '#model/effects/clock.ts';
import { HTTP2 } from '#model/settings/http.ts';
import type { ClientConnection, ClientEvents, ClientOwner, ClientStream, RequestHead } from '#protocol/http/message.ts';
import { ClientStreamHandler, type ClientStreamHost, Http2ClientStream } from './client-stream.ts';
import { ERROR_CODE, type Http2Error, PING_PAYLOAD_BYTES } from './constants.ts';
import { encodeHeaderBlock } from './field-block.ts';
import { Keepalive } from './keepalive.ts';
import { type MessageBytes, MessageConnection, type MessageOwner } from './message-connection.ts';
import type { StreamHandler } from './roles.ts';

const PING = Buffer.alloc(PING_PAYLOAD_BYTES, 'weft');
const REFUSED: StreamHandler = { response() {}, data() {}, end() {}, reset() {}, writable() {} };

/** Starts a client connection on a fresh stream. It takes requests once the peer's settings are known. */
export function connectHttp2(stream: MessageBytes, owner: ClientOwner, clock: Clock): ClientConnection {
  return new Http2ClientConnection(stream, owner, clock);
}

class Http2ClientConnection implements ClientConnection, MessageOwner, ClientStreamHost {
  readonly #connection: MessageConnection;
  readonly #owner: ClientOwner;
  readonly #keepalive: Keepalive;
  /** Streams that were told something by the read under way. */
  #isReady = false;
  #retiring = false;
  /** Found by being refused: a peer may take fewer than it said, or say so late. */
  #streamsMax: number = HTTP2.upstreamStreamsMax;

  constructor(stream: MessageBytes, owner: ClientOwner, clock: Clock) {
    this.#owner = owner;
    this.#connection = new MessageConnection('client', stream, this, clock);
    this.#keepalive = new Keepalive({
      clock,
      intervalMs: HTTP2.pingIntervalMs,
      timeoutMs: HTTP2.pingTimeoutMs,
      isWanted: () => this.#connection.http2.streams > 0,
      sendPing: () => this.#connection.http2.ping(PING),
      lost: () => this.#connection.destroy(),
    });
    this.#connection.start();
  }

  /** None before the peer has said how many it takes: one too many would be refused. */
  capacity(): number {
    if (!this.#isReady || this.#retiring || this.#connection.isClosed) return 0;
    const { http2 } = this.#connection;
    return Math.max(0, Math.min(this.#streamsMax, http2.peer.concurrentStreamsMax) - http2.streams);
  }

  isIdle(): boolean {
    return this.#connection.http2.streams === 0;
  }

  send(head: RequestHead, end: boolean, events: ClientEvents): ClientStream {
    const half = new Http2ClientStream(head, events, this);
    const { http2 } = this.#connection;
    if (this.#connection.isClosed) {
      half.begin(null);
      return half;
    }
    const { encoder } = http2;
    encoder.begin();
    encoder.field(':method', head.method, false);
    if (head.method !== 'CONNECT') {
      encoder.field(':scheme', 'http', false);
      encoder.field(':path', head.target, false);
    }
    encoder.field(':authority', head.authority, false);
    encodeHeaderBlock(encoder, head.headers);
    if (head.contentLength !== null) encoder.field('content-length', String(head.contentLength), false);
    half.begin(http2.openWithBlock(end, new ClientStreamHandler(half)));
    return half;
  }

  retire(): void {
    if (this.#retiring) return;
    this.#retiring = true;
    // Often because the endpoint left: what is under way must not wait for the next PING where nobody is.
    if (!this.#connection.isClosed && this.#connection.http2.streams > 0) this.#keepalive.ask();
    this.#closeIfDone();
  }

  ready(): void {
    this.#isReady = true;
    if (!this.#retiring) this.#owner.onIdle(this);
  }

  /** A client that does not allow push has no streams that a peer opened. */
  request(): StreamHandler {
    return REFUSED;
  }

  tooLarge(): StreamHandler {
    return REFUSED;
  }

  goaway(): void {
    this.#retiring = true;
    this.#closeIfDone();
  }

  pong(): void {
    this.#keepalive.answered();
  }

  streamClosed(): void {
    if (this.#retiring) this.#closeIfDone();
    else if (this.#isReady && !this.#connection.isClosed) this.#owner.onIdle(this);
  }

  failed(error: Http2Error): void {
    this.#retiring = true;
    void error;
    this.#connection.close();
  }

  closed(): void {
    this.#retiring = true;
    this.#keepalive.stop();
    this.#owner.onClosed(this);
  }

  touched(stream: Http2ClientStream): void {
    this.#connection.touched(stream);
  }

  /** The others of its streams are what it takes; another connection carries what it refused. */
  refused(): void {
    this.#streamsMax = Math.max(1, Math.min(this.#streamsMax, this.#connection.http2.streams));
  }

  mistaken(error: unknown): void {
    this.#owner.onMistake(error);
  }

  #closeIfDone(): void {
    const { http2, isClosed } = this.#connection;
    if (isClosed || http2.streams > 0) return;
    http2.goaway(ERROR_CODE.noError, 'retired', true);
    this.#connection.close();
  }
}
