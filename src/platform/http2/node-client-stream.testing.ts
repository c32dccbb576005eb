import http2, { type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2';
import { caughtBy, regardless } from '#model/effects/mishaps.ts';
import { Announced, bodyBytesOf } from '#protocol/http/announced.ts';
import { isForwardableInterim, isForwardableStatus } from '#protocol/http/forwardable.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { ClientEvents, ClientStream, RequestHead, UpstreamProblem } from '#protocol/http/message.ts';
import { isBroken, watchEnd } from './node-ends.testing.ts';
import { readHeaders, readTrailers, takeContentLength, writeHeaders } from './node-headers.testing.ts';

const { NGHTTP2_CANCEL, NGHTTP2_FLAG_END_STREAM, NGHTTP2_NO_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_PROTOCOL_ERROR } =
  http2.constants;

const SHORT = 'fewer bytes than were announced';

/** The upstream half of one HTTP/2 request, on a stream of node:http2. */
export class Http2ClientStream implements ClientStream {
  readonly #stream: ClientHttp2Stream;
  readonly #method: string;
  /** What is left of the request's body. */
  readonly #announced = new Announced();
  /** What is left of the response's. */
  readonly #received = new Announced();
  readonly #isWhole: () => boolean;
  readonly #mistaken: (error: unknown) => void;
  #events: ClientEvents | null;
  #requestTrailers: HeaderBlock | null = null;
  #responseTrailers: HeaderBlock | null = null;
  #flushing = false;

  /** `mistaken` hears of a mistake of ours; the request has failed by then, the others of its session go on. */
  constructor(stream: ClientHttp2Stream, head: RequestHead, events: ClientEvents, mistaken: (error: unknown) => void) {
    this.#method = head.method;
    this.#announced.expect(head.hasBody ? head.contentLength : null);
    this.#isWhole = watchEnd(stream);
    this.#stream = stream;
    this.#events = events;
    this.#mistaken = mistaken;
    stream.on('headers', (headers, _flags, raw: string[]) => this.#caught(() => this.#onInform(Number(headers[':status']), raw)));
    stream.on('response', (headers, flags, raw: string[]) =>
      this.#caught(() => this.#onResponse(Number(headers[':status']), flags, raw)),
    );
    this.#on('trailers', (headers: IncomingHttpHeaders) => {
      this.#responseTrailers = readTrailers(headers);
    });
    this.#on('end', () => {
      // node ends the readable side of a stream that was reset, too; 'close' follows.
      if (isBroken(stream)) return;
      if (!this.#isWhole()) this.#breakOff('remote-reset', 'the peer reset the stream (NO_ERROR) before its end');
      else this.#onEnd();
    });
    this.#on('drain', () => this.#events?.onUpstreamWritable());
    this.#on('wantTrailers', () => this.#sendTrailers());
    stream.on('error', () => {}); // 'close' follows and says the same
    this.#on('close', () => this.#onClose());
  }

  /** What a listener throws would pass through a library that serves other streams, too. */
  #on<Argument>(event: string, listener: (argument: Argument) => void): void {
    this.#stream.on(event, caughtBy(this.#onMistake, listener));
  }

  readonly #onMistake = (error: unknown): void => {
    const events = this.#events;
    this.#mistaken(error);
    this.abort();
    const problem = {
      kind: 'local-reset',
      details: 'a mistake of the waypoint',
      staleConnection: false,
      unprocessed: false,
    } as const;
    if (events !== null) regardless(() => events.onFailure(problem));
  };

  #caught(act: () => void): void {
    caughtBy(this.#onMistake, act)();
  }

  write(data: Buffer): boolean {
    if (this.#announced.take(data.length)) return this.#stream.write(data);
    this.#breakOff('local-reset', 'more bytes than were announced');
    return true;
  }

  end(trailers: HeaderBlock | null): void {
    if (!this.#announced.isWhole()) return void this.#breakOff('local-reset', 'fewer bytes than were announced');
    this.#requestTrailers = trailers;
    this.#stream.end();
  }

  flush(): void {}

  resume(): void {
    this.#stream.resume();
  }

  abort(): void {
    this.#events = null;
    this.#stream.close(NGHTTP2_CANCEL);
  }

  #onInform(status: number, raw: readonly string[]): void {
    if (isForwardableInterim(status)) this.#events?.onInform({ status, headers: readHeaders(raw), contentLength: null });
  }

  #onResponse(status: number, flags: number, raw: readonly string[]): void {
    if (!isForwardableStatus(status)) return void this.#breakOff('protocol-error', `status ${status}`);
    const headers = readHeaders(raw);
    const end = (flags & NGHTTP2_FLAG_END_STREAM) !== 0;
    const contentLength = takeContentLength(headers);
    this.#received.expect(bodyBytesOf(this.#method, status, contentLength));
    if (end && !this.#received.isWhole()) return void this.#breakOff('protocol-error', SHORT);
    this.#events?.onResponse({ status, headers, contentLength }, end);
    if (end) {
      this.#onEnd();
      return;
    }
    // Not before: node tells of the head one tick after it read it, and would tell of a body that came with it first.
    this.#on('data', (data: Buffer) => this.#onData(data));
    this.#flushSoon();
  }

  #onData(data: Buffer): void {
    const events = this.#events;
    if (events === null) return;
    if (!this.#received.take(data.length)) return void this.#breakOff('protocol-error', 'more bytes than were announced');
    if (!events.onResponseBody(data)) this.#stream.pause();
    this.#flushSoon();
  }

  /** Head and body come as separate events of one read: they should leave together. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(
      caughtBy(this.#onMistake, () => {
        this.#flushing = false;
        this.#events?.onResponseTurnEnd();
      }),
    );
  }

  /** No whole request went, or no whole answer came: neither may pass for one. */
  #breakOff(kind: UpstreamProblem['kind'], details: string): void {
    const events = this.#events;
    this.abort();
    events?.onFailure({ kind, details, staleConnection: false, unprocessed: false });
  }

  #onEnd(): void {
    if (!this.#received.isWhole()) return void this.#breakOff('protocol-error', SHORT);
    const events = this.#events;
    this.#events = null;
    events?.onResponseEnd(this.#responseTrailers);
    // W78: a peer may answer before it has read everything; the rest of the request is of no use then.
    if (!this.#stream.writableEnded) this.#stream.close(NGHTTP2_NO_ERROR);
  }

  #sendTrailers(): void {
    try {
      this.#stream.sendTrailers(this.#requestTrailers === null ? {} : writeHeaders(this.#requestTrailers, {}));
    } catch (error) {
      this.#breakOff('local-reset', error instanceof Error ? error.message : String(error)); // the stream has just gone
    }
  }

  #onClose(): void {
    const events = this.#events;
    this.#events = null;
    events?.onFailure(problemOf(this.#stream));
  }
}

function problemOf(stream: ClientHttp2Stream): UpstreamProblem {
  const code = stream.rstCode ?? NGHTTP2_NO_ERROR;
  const refused = code === NGHTTP2_REFUSED_STREAM;
  const details = refused ? 'stream refused' : `http2 stream closed with code ${code}`;
  if (code === NGHTTP2_PROTOCOL_ERROR) return { kind: 'protocol-error', details, staleConnection: false, unprocessed: false };
  // A refused stream was not processed: as safe to repeat as one on a connection that was already closed.
  return {
    kind: code === NGHTTP2_NO_ERROR || code === NGHTTP2_CANCEL ? 'closed' : 'remote-reset',
    details,
    staleConnection: false,
    unprocessed: refused,
  };
}
