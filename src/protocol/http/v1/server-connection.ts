import type { Duplex } from 'node:stream';
import type { Clock } from '#model/effects/clock.ts';
import { caughtBy, regardless } from '#model/effects/mishaps.ts';
import { HTTP } from '#model/settings/http.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import { HEADER } from '#protocol/http/header-names.ts';
import type {
  ProtocolProblem,
  RequestHandler,
  RequestHead,
  ResponseHead,
  ServerConnection,
  ServerEvents,
  ServerStream,
} from '#protocol/http/message.ts';
import { BodyDecoder, type BodyTaker } from './body-decoder.ts';
import { closeGently, listenTo } from './close-gently.ts';
import { HeadBuffer } from './head-buffer.ts';
import { writeUpgradeHead } from './head-writer.ts';
import { Http1Headers } from './http1-headers.ts';
import { parseRequestHead } from './request-head.ts';
import { ResponseWriter } from './response-writer.ts';

/**
 * Where a connection stands. `replying`: the request is read, its response is not yet written: what the client sends
 * meanwhile (pipelining) waits. `over`: nothing more is read or written, bytes are discarded until the peer closes.
 */
type Phase = 'head' | 'body' | 'replying' | 'over' | 'upgraded';

/**
 * The server side of one HTTP/1.1 connection: one request at a time, in order. It is also the downstream half
 * (`ServerStream`) of the request under way, since there is never a second one.
 */
export class Http1ServerConnection implements ServerConnection, ServerStream, BodyTaker {
  readonly #stream: Duplex;
  readonly #handler: RequestHandler;
  readonly #clock: Clock;
  readonly #head = new HeadBuffer();
  readonly #headers = new Http1Headers();
  readonly #writer: ResponseWriter;
  #phase: Phase = 'head';
  #draining = false;
  #idleRounds = 0;
  /** The request may be anywhere between two states: nothing more is read or answered on this connection. */
  readonly #onMistake = (error: unknown): void => {
    this.#handler.onMistake(error);
    regardless(() => this.#close());
  };
  /** Bytes that arrived before they can be used; reading is paused while there are any. */
  #held: Buffer | null = null;
  #consuming = false;
  // The request under way.
  #serial = 0;
  #events: ServerEvents | null = null;
  #request: RequestHead | null = null;
  #decoder: BodyDecoder | null = null;
  #keepAlive = true;
  #bodyStarted = false;
  #bodyBlocked = false;
  #discarding = false;
  #requestDone = true;
  #responseStarted = false;
  /** Takes the stream over; `early` are bytes already read from it. The stream must allow half-open. */
  constructor(stream: Duplex, handler: RequestHandler, clock: Clock, early: Buffer | null) {
    this.#stream = stream;
    this.#handler = handler;
    this.#clock = clock;
    this.#writer = new ResponseWriter(stream);
    listenTo(stream, { data: this.#onData, end: this.#onEnd, close: this.#onClose, drain: this.#onDrain });
    stream.resume();
    if (early !== null && early.length > 0) this.#onData(early);
    if (stream.readableEnded) this.#onEnd();
  }

  drain(): void {
    this.#draining = true;
    if (this.#phase === 'head' && this.#head.isEmpty()) this.#linger();
  }

  closeIfIdle(roundsMax: number): void {
    if (this.#phase !== 'head') return;
    if (++this.#idleRounds > roundsMax) this.#linger();
  }

  destroy(): void {
    this.#stream.destroy();
  }

  inform(head: ResponseHead): void {
    this.#writer.inform(head);
  }

  respond(head: ResponseHead, end: boolean): void {
    this.#responseStarted = true;
    if (!this.#requestDone && !this.#bodyStarted) this.#giveUpBody();
    if (this.#draining) this.#keepAlive = false;
    this.#writer.begin(head, { method: this.#request?.method ?? '', close: !this.#keepAlive, end });
    if (end) this.end(null);
  }

  write(data: Buffer): boolean {
    return this.#writer.write(data);
  }

  end(_trailers: HeaderBlock | null): void {
    const whole = this.#writer.end();
    this.#events = null;
    this.#serial++;
    if (!whole) return;
    if (!this.#keepAlive || !(this.#requestDone || this.#discarding)) this.#linger();
    else if (this.#requestDone) this.#nextRequest();
  }

  flush(): void {
    this.#writer.flush();
  }

  reset(): void {
    this.#events = null;
    this.#stream.destroy();
  }

  startBody(): void {
    if (this.#requestDone || this.#bodyStarted) return;
    this.#bodyStarted = true;
    this.#consumeHeld();
  }

  resumeBody(): void {
    if (!this.#bodyBlocked) return;
    this.#bodyBlocked = false;
    if (this.#held === null) this.#stream.resume();
  }

  upgrade(head: ResponseHead): { stream: Duplex; early: Buffer | null } | null {
    const upgrade = this.#request?.upgrade;
    if (upgrade === null || upgrade === undefined) return null;
    this.#stream.write(writeUpgradeHead(head, upgrade));
    this.#phase = 'upgraded';
    this.#events = null; // so the listeners that stay say nothing
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
    const early = this.#held;
    this.#held = null;
    return { stream: this.#stream, early };
  }

  takeBody(data: Buffer): void {
    if (this.#events !== null && !this.#events.onBody(data)) this.#bodyBlocked = true;
  }

  readonly #onData = caughtBy(this.#onMistake, (chunk: Buffer): void => {
    if (this.#phase === 'over') return;
    if (this.#held === null) this.#consume(chunk);
    else this.#hold(Buffer.concat([this.#held, chunk]));
  });

  /** The client sends no more. With a request under way it is taken to have left, as Envoy and nginx do. */
  readonly #onEnd = caughtBy(this.#onMistake, (): void => {
    if (this.#phase === 'head' && this.#head.isEmpty()) this.#linger();
    else if (this.#phase !== 'over') this.#stream.destroy();
  });

  readonly #onDrain = caughtBy(this.#onMistake, (): void => this.#events?.onDownstreamWritable());
  readonly #onClose = caughtBy(this.#onMistake, (): void => this.#close());

  #close(): void {
    const events = this.#events;
    this.#events = null;
    this.#phase = 'over';
    this.#held = null;
    if (!this.#stream.destroyed) this.#stream.destroy();
    events?.onGone('disconnect');
  }

  #consume(chunk: Buffer): void {
    this.#consuming = true;
    let bytes = chunk;
    let at = 0;
    while (at < bytes.length && this.#phase !== 'over') {
      if (this.#phase === 'head') {
        const result = this.#head.push(bytes, at);
        at = bytes.length;
        if (result.kind === 'complete') {
          bytes = result.bytes;
          at = result.end;
          this.#beginRequest(bytes, result.start, result.end);
        } else if (result.kind === 'too-large') this.#refuse({ status: 431, details: 'headers_too_large' });
        else if (result.kind === 'bare-lf') this.#refuse({ status: 400, details: 'http1.bare_lf' });
      } else if (this.#phase === 'body' && this.#bodyStarted) at = this.#readBody(bytes, at);
      else {
        this.#hold(at === 0 ? bytes : bytes.subarray(at));
        break;
      }
    }
    this.#consuming = false;
    if (this.#bodyBlocked) this.#stream.pause();
    this.#events?.onRequestTurnEnd();
  }

  #beginRequest(bytes: Buffer, start: number, end: number): void {
    const result = parseRequestHead(bytes, start, end, this.#headers, this.#handler.pathNormalization);
    if (result.kind === 'invalid') {
      this.#refuse(result.problem);
      return;
    }
    const { head, framing } = result;
    this.#request = head;
    this.#idleRounds = 0;
    this.#keepAlive = result.keepAlive;
    this.#requestDone = !head.hasBody;
    this.#decoder = head.hasBody ? new BodyDecoder(framing) : null;
    this.#bodyStarted = false;
    this.#responseStarted = false;
    this.#phase = head.hasBody ? 'body' : 'replying';
    const serial = this.#serial;
    const events = this.#handler.onRequest(head, this);
    // A local reply may already have ended this request.
    if (serial === this.#serial && this.#isOpen()) this.#events = events;
  }

  #readBody(bytes: Buffer, from: number): number {
    const decoder = this.#decoder;
    if (decoder === null) return bytes.length;
    switch (decoder.push(bytes, from, this)) {
      case 'more':
        return bytes.length;
      case 'end':
        this.#requestDone = true;
        this.#phase = 'replying';
        if (this.#discarding) this.#nextRequest();
        else this.#events?.onBodyEnd(null);
        return decoder.position;
      case 'invalid':
        this.#breakOff();
        return bytes.length;
    }
  }

  /** The body is malformed: where it ends is unknown, so the connection is lost. */
  #breakOff(): void {
    const events = this.#events;
    this.#events = null;
    if (this.#responseStarted) this.#stream.destroy();
    else this.#refuse({ status: 400, details: 'http1.malformed_chunk' });
    events?.onGone('protocol-error');
  }

  /** A response without interest in the body: a short one is read and dropped, so that the connection can go on. */
  #giveUpBody(): void {
    const waits = this.#headers.indexOf(HEADER.expect) >= 0;
    if (waits || this.#decoder?.isShort(HTTP.drainedBodyBytesMax) !== true) {
      this.#keepAlive = false;
      return;
    }
    this.#discarding = true;
    this.#bodyStarted = true;
    // Not within the caller's turn: the response comes first.
    queueMicrotask(caughtBy(this.#onMistake, () => this.#consumeHeld()));
  }

  #nextRequest(): void {
    this.#discarding = false;
    this.#bodyBlocked = false;
    this.#phase = 'head';
    if (this.#draining) this.#linger();
    else this.#consumeHeld();
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    this.#stream.pause();
  }

  #consumeHeld(): void {
    const held = this.#held;
    if (this.#consuming || !this.#isOpen()) return;
    this.#held = null;
    if (!this.#bodyBlocked) this.#stream.resume();
    if (held !== null) this.#consume(held);
  }

  #isOpen(): boolean {
    return this.#phase !== 'over' && this.#phase !== 'upgraded';
  }

  #refuse(problem: ProtocolProblem): void {
    this.#writer.refuse(problem);
    this.#linger();
    this.#handler.onProblem(problem);
  }

  #linger(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#held = null;
    this.#writer.flush();
    closeGently(this.#stream, this.#clock);
  }
}
