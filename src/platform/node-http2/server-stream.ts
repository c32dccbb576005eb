import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { caughtBy, regardless } from '#model/effects/mishaps.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { ResponseHead, ServerEvents, ServerStream } from '#protocol/http/message.ts';
import { isBroken, readTrailers, writeHeaders } from './headers.ts';

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = http2.constants;

/** The downstream half of one HTTP/2 request, on a stream of node:http2. */
export class Http2ServerStream implements ServerStream {
  readonly #stream: ServerHttp2Stream;
  readonly #mistaken: (error: unknown) => void;
  #events: ServerEvents | null = null;
  #requestTrailers: HeaderBlock | null = null;
  #responseTrailers: HeaderBlock | null = null;
  #responseEnded = false;
  #bodyStarted = false;
  #bodyEnded = false;

  /** `mistaken` hears of a mistake of ours; the stream is reset by then, the others of its session go on. */
  constructor(stream: ServerHttp2Stream, mistaken: (error: unknown) => void) {
    this.#stream = stream;
    this.#mistaken = mistaken;
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

  /** Whom to tell; set once, right after the request was handed over. */
  listen(events: ServerEvents): void {
    if (!this.#responseEnded) this.#events = events;
  }

  inform(head: ResponseHead): void {
    this.#guard(() => this.#stream.additionalHeaders(writeHeaders(head.headers, { ':status': head.status })));
  }

  respond(head: ResponseHead, end: boolean): void {
    const headers = writeHeaders(head.headers, { ':status': head.status });
    if (head.contentLength !== null && head.status !== 204) headers['content-length'] = String(head.contentLength);
    if (end) this.#finish();
    this.#guard(() => this.#stream.respond(headers, end ? { endStream: true } : { waitForTrailers: true }));
  }

  write(data: Buffer): boolean {
    return this.#stream.write(data);
  }

  end(trailers: HeaderBlock | null): void {
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
    if (!events.onBody(data)) this.#stream.pause();
    events.onRequestTurnEnd();
  }

  /** node ends the readable side of a stream that was reset, too: that is no complete body. 'close' follows. */
  #onEnd(): void {
    if (isBroken(this.#stream)) return;
    this.#bodyEnded = true;
    if (this.#bodyStarted) this.#events?.onBodyEnd(this.#requestTrailers);
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
