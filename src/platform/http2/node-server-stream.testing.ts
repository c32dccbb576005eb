import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { caughtBy, regardless } from '#model/effects/mishaps.ts';
import { Announced, bodyBytesOf } from '#protocol/http/announced.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { ResponseHead, ServerEvents, ServerStream } from '#protocol/http/message.ts';
import { isBroken, watchEnd } from './node-ends.testing.ts';
import { readTrailers, writeHeaders } from './node-headers.testing.ts';

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = http2.constants;

/** The downstream half of one HTTP/2 request, on a stream of node:http2. */
export class Http2ServerStream implements ServerStream {
  /** What node:http2 writes is not known here. */
  readonly wire = { receivedBytes: 0, sentBytes: 0 };
  readonly #stream: ServerHttp2Stream;
  readonly #mistaken: (error: unknown) => void;
  #events: ServerEvents | null = null;
  #requestTrailers: HeaderBlock | null = null;
  #responseTrailers: HeaderBlock | null = null;
  #responseEnded = false;
  #bodyStarted = false;
  #bodyEnded = false;
  readonly #method: string;
  #bodiless = false;
  /** What is left of the response's body. */
  readonly #announced = new Announced();
  /** What is left of the request's. */
  readonly #received = new Announced();
  readonly #isWhole: () => boolean;

  /** `mistaken` hears of a mistake of ours; the stream is reset by then, the others of its session go on. */
  constructor(stream: ServerHttp2Stream, method: string, mistaken: (error: unknown) => void) {
    this.#method = method;
    this.#stream = stream;
    this.#mistaken = mistaken;
    this.#isWhole = watchEnd(stream);
    stream.on('error', () => {}); // 'close' follows and says the same
    this.#on('close', () => this.#onClose());
    this.#on('drain', () => this.#events?.onDownstreamWritable());
    // An empty body ends by itself, whether or not anybody has asked for it yet.
    this.#on('end', () => this.#onEnd());
    this.#on('trailers', (headers: IncomingHttpHeaders) => {
      this.#requestTrailers = readTrailers(headers);
    });
    this.#on('wantTrailers', () => this.#sendTrailers());
  }

  /** What a listener throws would pass through a library that serves other streams, too. */
  #on<Argument>(event: string, listener: (argument: Argument) => void): void {
    this.#stream.on(event, caughtBy(this.#onMistake, listener));
  }

  readonly #onMistake = (error: unknown): void => {
    const events = this.#events;
    this.#mistaken(error);
    this.reset();
    if (events !== null) regardless(() => events.onGone('disconnect'));
  };

  /** Whom to tell; set once, right after the request was handed over. `contentLength`: of its body, as announced. */
  listen(events: ServerEvents, contentLength: number | null): void {
    this.#received.expect(contentLength);
    if (!this.#responseEnded) this.#events = events;
  }

  inform(head: ResponseHead): void {
    this.#guard(() => this.#stream.additionalHeaders(writeHeaders(head.headers, { ':status': head.status })));
  }

  respond(head: ResponseHead, end: boolean): void {
    const headers = writeHeaders(head.headers, { ':status': head.status });
    if (head.contentLength !== null && head.status !== 204) headers['content-length'] = String(head.contentLength);
    // node ends the stream with the head of a 205, too: what follows would be an error of its own.
    this.#bodiless = head.status === 205 || bodyBytesOf(this.#method, head.status, null) === 0;
    this.#announced.expect(this.#bodiless ? 0 : head.contentLength);
    if (end && !this.#announced.isWhole()) return void this.reset();
    if (end) this.#finish();
    this.#guard(() => this.#stream.respond(headers, end ? { endStream: true } : { waitForTrailers: true }));
  }

  /** More than was announced, or less at the end, is no answer: the client must see that it broke off. */
  write(data: Buffer): boolean {
    if (this.#bodiless) return true;
    if (this.#announced.take(data.length)) return this.#stream.write(data);
    this.reset();
    return true;
  }

  end(trailers: HeaderBlock | null): void {
    if (!this.#announced.isWhole()) return void this.reset();
    this.#responseTrailers = trailers;
    this.#finish();
    this.#stream.end();
  }

  flush(): void {}

  reset(): void {
    this.#events = null;
    this.#responseEnded = true;
    this.#stream.close(NGHTTP2_INTERNAL_ERROR);
  }

  startBody(): void {
    if (this.#bodyStarted) return;
    this.#bodyStarted = true;
    if (this.#bodyEnded) this.#events?.onBodyEnd(this.#requestTrailers);
    this.#on('data', (data: Buffer) => this.#onData(data));
  }

  resumeBody(): void {
    this.#stream.resume();
  }

  /** RFC 8441 is not enabled (W29). */
  upgrade(): null {
    return null;
  }

  #onData(data: Buffer): void {
    const events = this.#events;
    if (events === null) return;
    if (!this.#received.take(data.length)) return void this.#breakOff();
    if (!events.onBody(data)) this.#stream.pause();
    events.onRequestTurnEnd();
  }

  /** node ends the readable side of a stream that was reset, too: that is no complete body. */
  #onEnd(): void {
    if (isBroken(this.#stream)) return; // 'close' follows
    if (!this.#isWhole() || !this.#received.isWhole()) return void this.#breakOff();
    this.#bodyEnded = true;
    if (this.#bodyStarted) this.#events?.onBodyEnd(this.#requestTrailers);
  }

  /** The request is not what it was to be: it must not reach anybody as a whole one. */
  #breakOff(): void {
    const events = this.#events;
    if (events === null && this.#responseEnded) return; // it is answered already
    this.reset();
    events?.onGone('protocol-error');
  }

  /** The answer is complete: what the client still sends is of no use, but must not fill its window. */
  #finish(): void {
    this.#events = null;
    this.#responseEnded = true;
    if (!this.#bodyStarted) this.#stream.resume();
  }

  #sendTrailers(): void {
    this.#guard(() => this.#stream.sendTrailers(this.#responseTrailers === null ? {} : writeHeaders(this.#responseTrailers, {})));
  }

  #onClose(): void {
    const events = this.#events;
    this.#events = null;
    const withdrawn = this.#stream.rstCode !== undefined && this.#stream.rstCode !== NGHTTP2_NO_ERROR;
    events?.onGone(withdrawn ? 'reset' : 'disconnect');
  }

  /** node throws for headers it finds invalid, and when the stream has just gone. */
  #guard(act: () => void): void {
    try {
      act();
    } catch {
      this.#stream.close(NGHTTP2_INTERNAL_ERROR);
    }
  }
}
