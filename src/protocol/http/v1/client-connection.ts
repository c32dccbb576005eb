import type { ByteStream, StreamOver } from '#model/effects/byte-stream.ts';
import { regardless } from '#model/effects/mishaps.ts';
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
import { KnownHeads } from './known-heads.ts';
import { lossOf, Reading, type ReadingOwner } from './reading.ts';
import { parseResponseHead, type ResponseHeadResult } from './response-head.ts';

/** `ending`: it serves no more, and waits for the peer's end. `upgraded`: who took the stream over reads it. */
type Phase = 'idle' | 'head' | 'body' | 'ending' | 'closed' | 'upgraded';

/**
 * The client side of one HTTP/1.1 connection: one request at a time. It is also the upstream half (`ClientStream`)
 * of the request under way.
 */
export class Http1ClientConnection implements ClientConnection, ClientStream, BodyTaker, ReadingOwner {
  /** Seconds the peer said it keeps idle connections; null: it did not say. */
  keepAliveTimeoutSeconds: number | null = null;

  readonly #stream: ByteStream;
  readonly #owner: ClientOwner;
  readonly #head = new HeadBuffer();
  readonly #heads = new KnownHeads<ResponseHeadResult, string>(parseResponseHead);
  readonly #decoder = new BodyDecoder();
  readonly #writer: BodyWriter;
  #phase: Phase = 'idle';
  #retiring = false;
  #served = 0;

  // The request under way.
  #events: ClientEvents | null = null;
  #method = '';
  #upgrade: string | null = null;
  #requestDone = true;
  #responseBytes = false;
  #interims = 0;
  #keepAlive = true;
  #blocked = false;

  /** Takes the stream over. */
  constructor(stream: ByteStream, owner: ClientOwner) {
    this.#stream = stream;
    this.#owner = owner;
    this.#writer = new BodyWriter(stream);
    stream.read(new Reading(this));
  }

  capacity(): number {
    return this.#phase === 'idle' && !this.#retiring ? 1 : 0;
  }

  isIdle(): boolean {
    return this.#phase === 'idle';
  }

  retire(): void {
    this.#retiring = true;
    if (this.#phase === 'idle') this.#endInOrder();
  }

  /** Closes at once, whatever is under way; for a peer that does not answer an end with its own. */
  destroy(): void {
    this.#fail('closed', 'connection termination');
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
    writeRequestHead(this.#stream, head, framing);
    this.#writer.begin(framing, head.contentLength);
    return this;
  }

  /** More than was announced would be read as the next request. */
  write(data: Buffer): boolean {
    if (this.#phase === 'closed' || this.#phase === 'ending') return true;
    if (this.#writer.takes(data)) return this.#writer.write(data);
    this.#retiring = true;
    this.#stream.reset();
    queueMicrotask(() => this.#fail('closed', 'connection termination')); // whoever brought the piece is in the midst of it
    return true;
  }

  end(_trailers: HeaderBlock | null): void {
    if (this.#writer.end()) this.#requestDone = true;
    else this.#fail('local-reset', 'fewer bytes of the request than were announced');
  }

  /** The stream gathers by itself. */
  flush(): void {}

  resume(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#stream.resume();
  }

  abort(): void {
    this.#events = null;
    this.#fail('closed', 'given up');
  }

  takeBody(data: Buffer): void {
    if (this.#events !== null && !this.#events.onResponseBody(data)) this.#blocked = true;
  }

  onBytes(buffer: Buffer, start: number, end: number): number {
    // An idle peer has nothing to say: whatever this is, it must not answer the next request.
    if (this.#phase === 'idle') this.destroy();
    let at = start;
    while (at < end && (this.#phase === 'head' || this.#phase === 'body')) {
      at = this.#phase === 'head' ? this.#readHead(buffer, at, end) : this.#readBody(buffer, at, end);
    }
    if (this.#blocked) this.#stream.pause();
    this.#events?.onResponseTurnEnd();
    return this.#phase === 'upgraded' ? at - start : end - start;
  }

  onEnd(): void {
    if (this.#phase === 'idle') this.retire();
    else if (this.#phase === 'body' && this.#decoder.endsWithConnection() && this.#events !== null) {
      this.#keepAlive = false;
      this.#complete(true);
    } else if (this.#phase !== 'ending') this.#fail('closed', 'connection termination');
  }

  onWritable(): void {
    this.#events?.onUpstreamWritable();
  }

  onOver(how: StreamOver): void {
    const { kind, details } = lossOf(how);
    this.#fail(kind, details);
  }

  /** What is read and what is owed no longer fit: the request fails, and the connection with it. */
  mistaken(error: unknown): void {
    this.#owner.onMistake(error);
    regardless(() => this.#fail('local-reset', 'a mistake of the waypoint'));
  }

  /** Returns where to go on. */
  #readHead(buffer: Buffer, from: number, to: number): number {
    this.#responseBytes = true;
    const head = this.#head;
    const result = head.push(buffer, from, to);
    switch (result) {
      case 'complete': {
        const { next } = head;
        this.#beginResponse(next === to);
        return next;
      }
      case 'incomplete':
        return to;
      case 'too-large':
        this.#fail('head-too-large', 'response headers too large');
        return to;
      case 'bare-lf':
        this.#fail('protocol-error', 'http1.bare_lf');
        return to;
      default:
        return result satisfies never;
    }
  }

  #beginResponse(nothingFollows: boolean): void {
    const result = this.#heads.read(this.#head, this.#method);
    if (result.kind === 'invalid') {
      this.#fail('protocol-error', result.details);
      return;
    }
    if (result.head.status === 101) {
      this.#switch(result.head, result.upgrade);
      return;
    }
    if (result.head.status < 200) {
      this.#interim(result.head);
      return;
    }
    this.#keepAlive = result.keepAlive;
    this.keepAliveTimeoutSeconds = result.keepAliveTimeoutSeconds ?? this.keepAliveTimeoutSeconds;
    this.#startBody(result, nothingFollows);
  }

  #startBody(result: ResponseHeadResult & { kind: 'ok' }, nothingFollows: boolean): void {
    const bodiless = result.framing.kind === 'none';
    this.#decoder.begin(result.framing);
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

  #switch(head: ResponseHead, upgrade: string | null): void {
    if (this.#upgrade === null || upgrade === null) {
      this.#fail('protocol-error', '101 without an upgrade');
      return;
    }
    const events = this.#events;
    this.#events = null;
    this.#phase = 'upgraded';
    this.#owner.onClosed(this);
    if (events === null) this.#stream.reset();
    else events.onUpgrade(head, this.#stream);
  }

  /** Returns where to go on. */
  #readBody(buffer: Buffer, from: number, to: number): number {
    const decoder = this.#decoder;
    const result = decoder.push(buffer, from, to, this);
    switch (result) {
      case 'more':
        return to;
      case 'end':
        if (this.#events !== null) this.#complete(decoder.position === to);
        return to;
      case 'invalid':
        this.#fail('protocol-error', 'http1.malformed_chunk');
        return to;
      default:
        return result satisfies never;
    }
  }

  /** The connection is free before the receiver hears of it, so that what it does next can use it. */
  #complete(nothingFollows: boolean): void {
    const events = this.#events;
    this.#events = null;
    this.#served++;
    if (this.#blocked) this.#stream.resume();
    this.#blocked = false;
    const inOrder = nothingFollows && this.#requestDone;
    if (inOrder && this.#keepAlive && !this.#retiring) {
      this.#phase = 'idle';
      this.#owner.onIdle(this);
    } else {
      this.#retiring = true;
      if (inOrder) this.#endInOrder();
    }
    events?.onResponseEnd(null);
    // More than an answer came, or it came before its request had gone: what follows could be read in two ways.
    if (!inOrder) this.#fail('closed', 'out of step');
  }

  /** The peer is told that no request follows, and ends as well; in a tunnel, a reset would reach the app as one. */
  #endInOrder(): void {
    if (this.#phase === 'ending' || this.#phase === 'closed') return;
    this.#phase = 'ending';
    this.#retiring = true;
    this.#stream.end();
    this.#owner.onEnding(this);
  }

  /** The request under way cannot be completed; with or without one the connection is lost. */
  #fail(kind: UpstreamProblem['kind'], details: string): void {
    if (this.#phase === 'closed' || this.#phase === 'upgraded') return;
    const events = this.#events;
    const staleConnection = this.#served > 0 && !this.#responseBytes;
    this.#events = null;
    this.#phase = 'closed';
    this.#retiring = true;
    this.#stream.reset();
    try {
      events?.onFailure({ kind, details, staleConnection, unprocessed: false });
    } finally {
      this.#owner.onClosed(this);
    }
  }
}
