import type { Duplex } from 'node:stream';
import { caughtBy, regardless } from '#model/effects/mishaps.ts';
import { HTTP } from '#model/settings/http.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type {
  ClientConnection,
  ClientEvents,
  ClientOwner,
  ClientStream,
  RequestHead,
  ResponseHead,
  UpstreamProblem,
} from '#protocol/http/message.ts';
import { BodyDecoder, type BodyTaker } from './body-decoder.ts';
import { BodyWriter } from './body-writer.ts';
import { HeadBuffer } from './head-buffer.ts';
import { writeRequestHead } from './head-writer.ts';
import { Http1Headers } from './http1-headers.ts';
import { parseResponseHead, type ResponseHeadResult } from './response-head.ts';

type Phase = 'idle' | 'head' | 'body' | 'closed';

/**
 * The client side of one HTTP/1.1 connection: one request at a time. It is also the upstream half (`ClientStream`)
 * of the request under way.
 */
export class Http1ClientConnection implements ClientConnection, ClientStream, BodyTaker {
  /** Seconds the peer said it keeps idle connections; null: it did not say. */
  keepAliveTimeoutSeconds: number | null = null;

  readonly #stream: Duplex;
  readonly #owner: ClientOwner;
  readonly #head = new HeadBuffer();
  readonly #headers = new Http1Headers();
  readonly #writer: BodyWriter;
  #phase: Phase = 'idle';
  #retiring = false;
  #served = 0;

  /** What is read and what is owed no longer fit: the request fails, and the connection with it. */
  readonly #onMistake = (error: unknown): void => {
    this.#owner.onMistake(error);
    regardless(() => this.#fail('local-reset', 'a mistake of the waypoint'));
  };

  // The request under way.
  #events: ClientEvents | null = null;
  #method = '';
  #upgrade: string | null = null;
  #requestDone = true;
  #responseBytes = false;
  #interims = 0;
  #decoder: BodyDecoder | null = null;
  #keepAlive = true;
  #blocked = false;

  /** Takes the stream over. */
  constructor(stream: Duplex, owner: ClientOwner) {
    this.#stream = stream;
    this.#owner = owner;
    this.#writer = new BodyWriter(stream);
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onError);
    stream.on('close', this.#onClose);
    stream.on('drain', this.#onDrain);
  }

  capacity(): number {
    return this.#phase === 'idle' && !this.#retiring ? 1 : 0;
  }

  isIdle(): boolean {
    return this.#phase === 'idle';
  }

  retire(): void {
    this.#retiring = true;
    // An orderly end: in a tunnel, a destroyed stream would reach the app as a reset.
    if (this.#phase === 'idle') this.#stream.end();
  }

  /** Closes at once, whatever is under way; for a peer that does not answer an end with its own. */
  destroy(): void {
    this.#kill();
  }

  send(head: RequestHead, end: boolean, events: ClientEvents): ClientStream {
    this.#phase = 'head';
    this.#events = events;
    this.#method = head.method;
    this.#upgrade = head.upgrade;
    this.#requestDone = end;
    this.#responseBytes = false;
    this.#interims = 0;
    this.#blocked = false;
    const framing = head.contentLength !== null ? 'length' : end ? 'none' : 'chunked';
    this.#writer.begin(writeRequestHead(head, framing), framing, head.contentLength);
    if (end) this.#writer.flush();
    return this;
  }

  write(data: Buffer): boolean {
    return this.#writer.write(data);
  }

  end(_trailers: HeaderBlock | null): void {
    if (!this.#writer.end()) return void this.#fail('local-reset', 'fewer bytes of the request than were announced');
    this.#requestDone = true;
    this.#writer.flush();
  }

  flush(): void {
    this.#writer.flush();
  }

  resume(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#stream.resume();
  }

  abort(): void {
    this.#events = null;
    this.#kill();
  }

  takeBody(data: Buffer): void {
    if (this.#events !== null && !this.#events.onResponseBody(data)) this.#blocked = true;
  }

  readonly #onData = caughtBy(this.#onMistake, (chunk: Buffer): void => {
    // An idle peer has nothing to say: whatever this is, it must not answer the next request.
    if (this.#phase === 'idle') this.#kill();
    else this.#consume(chunk);
  });

  #consume(chunk: Buffer): void {
    let bytes = chunk;
    let at = 0;
    while (at < bytes.length) {
      if (this.#phase === 'head') {
        this.#responseBytes = true;
        const result = this.#head.push(bytes, at);
        if (result.kind === 'incomplete') break;
        if (result.kind === 'too-large') {
          this.#fail('head-too-large', 'response headers too large');
          return;
        }
        if (result.kind === 'bare-lf') {
          this.#fail('protocol-error', 'http1.bare_lf');
          return;
        }
        bytes = result.bytes;
        at = result.end;
        this.#beginResponse(bytes, result.start, result.end);
      } else if (this.#phase === 'body') at = this.#readBody(bytes, at);
      else break;
    }
    if (this.#blocked) this.#stream.pause();
    this.#events?.onResponseTurnEnd();
  }

  #beginResponse(bytes: Buffer, start: number, end: number): void {
    const result = parseResponseHead(bytes, start, end, this.#headers, this.#method);
    if (result.kind === 'invalid') {
      this.#fail('protocol-error', result.details);
      return;
    }
    if (result.head.status === 101) {
      this.#switch(result.head, result.upgrade, bytes, end);
      return;
    }
    if (result.head.status < 200) {
      this.#interim(result.head);
      return;
    }
    this.#keepAlive = result.keepAlive;
    this.keepAliveTimeoutSeconds = result.keepAliveTimeoutSeconds ?? this.keepAliveTimeoutSeconds;
    this.#startBody(result, end === bytes.length);
  }

  #startBody(result: ResponseHeadResult & { kind: 'ok' }, nothingFollows: boolean): void {
    const bodiless = result.framing.kind === 'none';
    this.#decoder = bodiless ? null : new BodyDecoder(result.framing);
    this.#phase = 'body';
    const events = this.#events;
    events?.onResponse(result.head, bodiless);
    // The receiver may have given the request up.
    if (bodiless && this.#events !== null) this.#complete(nothingFollows);
  }

  #interim(head: ResponseHead): void {
    if (++this.#interims > HTTP.interimResponsesMax) {
      this.#fail('protocol-error', 'too many interim responses');
      return;
    }
    this.#events?.onInform(head);
  }

  #switch(head: ResponseHead, upgrade: string | null, bytes: Buffer, end: number): void {
    if (this.#upgrade === null || upgrade === null) {
      this.#fail('protocol-error', '101 without an upgrade');
      return;
    }
    const events = this.#events;
    this.#events = null;
    this.#phase = 'closed';
    this.#stream.off('data', this.#onData);
    this.#stream.off('end', this.#onEnd);
    this.#stream.off('close', this.#onClose);
    this.#stream.off('drain', this.#onDrain);
    this.#stream.pause();
    this.#owner.onClosed(this);
    events?.onUpgrade(head, this.#stream, end < bytes.length ? bytes.subarray(end) : null);
  }

  /** Returns where to go on. */
  #readBody(bytes: Buffer, from: number): number {
    const decoder = this.#decoder;
    if (decoder === null) return bytes.length;
    switch (decoder.push(bytes, from, this)) {
      case 'more':
        break;
      case 'end':
        if (this.#events !== null) this.#complete(decoder.position === bytes.length);
        break;
      case 'invalid':
        this.#fail('protocol-error', 'http1.malformed_chunk');
        break;
    }
    return bytes.length;
  }

  /** The connection is free before the receiver hears of it, so that what it does next can use it. */
  #complete(nothingFollows: boolean): void {
    const events = this.#events;
    this.#events = null;
    this.#served++;
    this.#phase = 'idle';
    if (this.#blocked) this.#stream.resume();
    this.#blocked = false;
    if (nothingFollows && this.#keepAlive && this.#requestDone && !this.#retiring) this.#owner.onIdle(this);
    else this.#kill();
    events?.onResponseEnd(null);
  }

  #fail(kind: UpstreamProblem['kind'], details: string): void {
    const events = this.#events;
    const staleConnection = this.#served > 0 && !this.#responseBytes;
    this.#events = null;
    this.#kill();
    events?.onFailure({ kind, details, staleConnection, unprocessed: false });
  }

  /** Out of service at once, even before the stream has closed. */
  #kill(): void {
    this.#retiring = true;
    this.#stream.destroy();
  }

  readonly #onEnd = caughtBy(this.#onMistake, (): void => {
    if (this.#phase === 'idle') this.retire();
    else if (this.#phase === 'body' && this.#decoder?.endsWithConnection() && this.#events !== null) {
      this.#keepAlive = false;
      this.#complete(true);
    } else this.#fail('closed', 'connection termination');
  });

  readonly #onError = caughtBy(this.#onMistake, (error: NodeJS.ErrnoException): void => {
    this.#fail(error.code === 'ECONNRESET' ? 'remote-reset' : 'closed', error.message);
  });

  readonly #onClose = caughtBy(this.#onMistake, (): void => {
    if (this.#phase === 'closed') return;
    // The pool first: whatever the request's end brings to light, a closed connection is nobody's any more.
    this.#phase = 'closed';
    this.#owner.onClosed(this);
    this.#fail('closed', 'connection termination');
  });

  readonly #onDrain = caughtBy(this.#onMistake, (): void => {
    this.#events?.onUpstreamWritable();
  });
}
