import type { ByteStream } from '#model/effects/byte-stream.ts';
import type { Cancel, Clock } from '#model/effects/clock.ts';
import { regardless } from '#model/effects/mishaps.ts';
import { HTTP } from '#model/settings/http.ts';
import type { PathNormalization } from '#model/waypoint/config.ts';
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
  WireBytes,
} from '#protocol/http/message.ts';
import { BodyDecoder, type BodyTaker } from './body-decoder.ts';
import { HeadBuffer } from './head-buffer.ts';
import { KnownHeads } from './known-heads.ts';
import { endGently, Reading, type ReadingOwner } from './reading.ts';
import { parseRequestHead, type RequestHeadResult } from './request-head.ts';
import { ResponseWriter } from './response-writer.ts';

/**
 * Where a connection stands. `replying`: the request is read, its response is not yet written: what the client sends
 * meanwhile (pipelining) waits. `over`: nothing more is read or written, bytes are discarded until the peer closes.
 */
type Phase = 'head' | 'body' | 'replying' | 'over' | 'upgraded';

/**
 * The server side of one HTTP/1.1 connection: one request at a time, in order. It is also the downstream half (`ServerStream`) of the
 * request under way, since there is never a second one. What it cannot use yet it leaves to its byte stream, which stops reading then.
 */
export class Http1ServerConnection implements ServerConnection, ServerStream, BodyTaker, ReadingOwner {
  readonly #stream: ByteStream;
  readonly #handler: RequestHandler;
  readonly #clock: Clock;
  readonly #head = new HeadBuffer();
  readonly #heads = new KnownHeads<RequestHeadResult, PathNormalization>(parseRequestHead);
  readonly #decoder = new BodyDecoder();
  readonly #writer: ResponseWriter;
  #phase: Phase = 'head';
  #draining = false;
  #idleRounds = 0;
  #consuming = false;
  #cancelLinger: Cancel | null = null;
  #serial = 0; // from here on: the request under way
  #events: ServerEvents | null = null;
  #request: RequestHead | null = null;
  #keepAlive = true;
  /** The client has said that it is its last one. */
  #isLast = false;
  #bodyStarted = false;
  #bodyBlocked = false;
  #discarding = false;
  #requestDone = true;
  #responseStarted = false;

  /** Takes the stream over; `early` was taken from it before, and is no whole head. */
  constructor(stream: ByteStream, handler: RequestHandler, clock: Clock, early: Buffer | null) {
    this.#stream = stream;
    this.#handler = handler;
    this.#clock = clock;
    this.#writer = new ResponseWriter(stream);
    const reading = new Reading(this);
    if (early !== null) reading.bytes(early, 0, early.length);
    stream.read(reading);
  }

  get wire(): WireBytes {
    return this.#writer.wire;
  }

  /** Who has not asked for anything yet has a first request on the way, most likely, which nobody would send again. */
  drain(): void {
    const waits = this.#request === null && !this.#draining;
    this.#draining = true;
    if (!waits && this.#phase === 'head' && this.#head.isEmpty() && !this.#consuming) this.#linger();
  }

  closeIfIdle(roundsMax: number): void {
    if (this.#phase === 'head' && ++this.#idleRounds > roundsMax) this.#linger();
  }

  destroy(): void {
    this.#stream.reset();
    this.#close();
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

  /** More than was announced would be read as the next response: the client must see that this one broke off. */
  write(data: Buffer): boolean {
    if (this.#writer.takes(data)) return this.#writer.write(data);
    this.#stream.reset();
    queueMicrotask(() => this.#close()); // whoever brought the piece is in the midst of it
    return true;
  }

  end(_trailers: HeaderBlock | null): void {
    const whole = this.#writer.end();
    this.#events = null;
    this.#serial++;
    if (!whole) this.destroy();
    else if (!this.#keepAlive || !(this.#requestDone || this.#discarding)) this.#linger();
    else if (this.#requestDone) this.#nextRequest();
  }

  /** The stream gathers by itself. */
  flush(): void {}

  reset(): void {
    this.#events = null;
    this.destroy();
  }

  startBody(): void {
    if (this.#requestDone || this.#bodyStarted) return;
    this.#bodyStarted = true;
    this.#stream.resume();
  }

  resumeBody(): void {
    if (!this.#bodyBlocked) return;
    this.#bodyBlocked = false;
    this.#stream.resume();
  }

  upgrade(head: ResponseHead): ByteStream | null {
    const upgrade = this.#request?.upgrade;
    if (upgrade === null || upgrade === undefined) return null;
    this.#writer.upgrade(head, upgrade);
    this.#phase = 'upgraded'; // who takes the stream reads it in our place
    return this.#stream;
  }

  takeBody(data: Buffer): void {
    if (this.#events !== null && !this.#events.onBody(data)) this.#bodyBlocked = true;
  }

  onBytes(buffer: Buffer, start: number, end: number): number {
    let at = start;
    this.#consuming = true;
    // What is told at the end of a turn may be what lets the rest be used.
    do {
      at = this.#consume(buffer, at, end);
      this.#events?.onRequestTurnEnd();
    } while (at < end && this.#isReading());
    this.#consuming = false;
    if (this.#bodyBlocked) this.#stream.pause();
    if (this.#draining && at === end && this.#request !== null) this.drain();
    return at - start;
  }

  /** The client sends no more. With a request under way it is taken to have left, as Envoy and nginx do. */
  onEnd(): void {
    if (this.#phase === 'head' && this.#head.isEmpty()) this.#linger();
    else if (this.#phase !== 'over') this.destroy();
  }

  onWritable(): void {
    this.#events?.onDownstreamWritable();
  }

  onOver(): void {
    this.#close();
  }

  /** The request may be anywhere between two states: nothing more is read or answered on this connection. */
  mistaken(error: unknown): void {
    this.#handler.onMistake(error);
    regardless(() => this.destroy());
  }

  #close(): void {
    const events = this.#events;
    this.#events = null;
    this.#phase = 'over';
    this.#cancelLinger?.();
    events?.onGone('disconnect');
  }

  /** Whether what comes next can be used. */
  #isReading(): boolean {
    return this.#phase === 'body' ? this.#bodyStarted : this.#phase === 'head' || this.#phase === 'over';
  }

  /** Returns up to where it has used them. */
  #consume(buffer: Buffer, start: number, end: number): number {
    let at = start;
    while (at < end && this.#isReading()) {
      if (this.#phase === 'over') return end;
      at = this.#phase === 'head' ? this.#readHead(buffer, at, end) : this.#readBody(buffer, at, end);
    }
    return at;
  }

  #readHead(buffer: Buffer, from: number, to: number): number {
    const head = this.#head;
    const result = head.push(buffer, from, to);
    if (result === 'complete') {
      const { next } = head;
      this.#beginRequest();
      return next;
    }
    if (result === 'too-large') this.#refuse({ status: 431, details: 'headers_too_large' });
    else if (result === 'bare-lf') this.#refuse({ status: 400, details: 'http1.bare_lf' });
    return to;
  }

  #beginRequest(): void {
    const result = this.#heads.read(this.#head, this.#handler.pathNormalization);
    if (result.kind === 'invalid') return void this.#refuse(result.problem);
    const { head, framing } = result;
    this.#writer.expect(this.#head.end - this.#head.start);
    this.#request = head;
    this.#idleRounds = 0;
    this.#keepAlive = result.keepAlive;
    this.#isLast = !result.keepAlive && !head.hasBody; // some clients end a body with an empty line too many
    this.#requestDone = !head.hasBody;
    if (head.hasBody) this.#decoder.begin(framing);
    this.#bodyStarted = false;
    this.#responseStarted = false;
    this.#phase = head.hasBody ? 'body' : 'replying';
    const serial = this.#serial;
    const events = this.#handler.onRequest(head, this);
    // A local reply may already have ended this request.
    if (serial === this.#serial && this.#isOpen()) this.#events = events;
  }

  #readBody(buffer: Buffer, from: number, to: number): number {
    const decoder = this.#decoder;
    const result = decoder.push(buffer, from, to, this);
    const upTo = result === 'end' ? decoder.position : to;
    this.#writer.wire.receivedBytes += upTo - from;
    if (result === 'invalid') this.#breakOff();
    if (result !== 'end') return upTo;
    this.#requestDone = true;
    this.#phase = 'replying';
    if (this.#discarding) this.#nextRequest();
    else this.#events?.onBodyEnd(null);
    return upTo;
  }

  /** The body is malformed: where it ends is unknown, so the connection is lost. */
  #breakOff(): void {
    const events = this.#events;
    this.#events = null;
    if (this.#responseStarted) this.destroy();
    else this.#refuse({ status: 400, details: 'http1.malformed_chunk' });
    events?.onGone('protocol-error');
  }

  /** A response without interest in the body: a short one is read and dropped, so that the connection can go on. */
  #giveUpBody(): void {
    const waits = this.#heads.headers.indexOf(HEADER.expect) >= 0;
    if (waits || !this.#decoder.isShort(HTTP.drainedBodyBytesMax)) {
      this.#keepAlive = false;
      return;
    }
    this.#discarding = true;
    this.#bodyStarted = true;
    this.#stream.resume();
  }

  #nextRequest(): void {
    this.#discarding = false;
    this.#bodyBlocked = false;
    this.#phase = 'head';
    if (this.#draining && !this.#consuming) this.#linger();
    else this.#stream.resume(); // what is being read just now goes on by itself
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
    this.#cancelLinger = endGently(this.#stream, this.#clock, this.#isLast, () => this.destroy());
  }
}
