import { regardless } from '#model/effects/mishaps.ts';
import { HTTP } from '#model/settings/http.ts';
import { Announced, bodyBytesOf } from '#protocol/http/announced.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { ClientEvents, ClientStream, RequestHead, UpstreamProblem } from '#protocol/http/message.ts';
import { BodySender } from './body-sender.ts';
import { ERROR_CODE, errorCodeName } from './constants.ts';
import type { Field } from './field.ts';
import { readResponseHead, readTrailers } from './heads.ts';
import { HeldBody } from './held-body.ts';
import type { StreamHandler } from './roles.ts';
import type { Http2Stream } from './stream.ts';

/** What a stream shares with the others of its connection. */
export type ClientStreamHost = {
  /** Something of a response was told: `turnEnd` when the read that brought it is done. */
  touched(stream: Http2ClientStream): void;
  /** The peer refused it unprocessed: it has taken as many as it can. */
  refused(): void;
  mistaken(error: unknown): void;
};

/** The upstream half of one HTTP/2 request. */
export class Http2ClientStream implements ClientStream {
  readonly #host: ClientStreamHost;
  readonly #method: string;
  readonly #body = new BodySender();
  readonly #held = new HeldBody();
  /** What is left of the request's body, and of the response's. */
  readonly #announced = new Announced();
  readonly #received = new Announced();
  #stream: Http2Stream | null = null;
  #events: ClientEvents | null;
  #trailers: HeaderBlock | null = null;
  #responded = false;
  #blocked = false;
  #ended = false;
  #isTouched = false;
  #interims = 0;

  constructor(head: RequestHead, events: ClientEvents, host: ClientStreamHost) {
    this.#method = head.method;
    this.#events = events;
    this.#host = host;
    this.#announced.expect(head.hasBody ? head.contentLength : null);
  }

  /** The stream it goes on; null: there can be none, and the failure follows. */
  begin(stream: Http2Stream | null): void {
    this.#stream = stream;
    // Not at once: whoever asked has not got this yet.
    if (stream === null)
      queueMicrotask(() => this.#fail({ kind: 'closed', details: 'the connection has just closed', unprocessed: true }));
  }

  write(data: Buffer): boolean {
    if (this.#stream === null || this.#events === null) return true;
    if (this.#announced.take(data.length)) return this.#body.write(this.#stream, data);
    this.#cut(ERROR_CODE.cancel, { kind: 'local-reset', details: 'more bytes than were announced', unprocessed: false });
    return true;
  }

  end(trailers: HeaderBlock | null): void {
    if (this.#stream === null || this.#events === null) return;
    if (this.#announced.isWhole()) this.#body.end(this.#stream, trailers);
    else this.#cut(ERROR_CODE.cancel, { kind: 'local-reset', details: 'fewer bytes than were announced', unprocessed: false });
  }

  flush(): void {
    if (this.#stream !== null) this.#body.flush(this.#stream);
  }

  resume(): void {
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#deliver();
    this.turnEnd();
  }

  abort(): void {
    this.#drop();
    this.#stream?.reset(ERROR_CODE.cancel);
  }

  /** The read that brought something of the response is done. */
  turnEnd(): void {
    this.#isTouched = false;
    this.#told((events) => events.onResponseTurnEnd());
  }

  /** A response, an interim one, or trailers. */
  onHeaders(fields: readonly Field[] | null, ended: boolean): void {
    if (this.#events === null) return;
    if (fields === null) {
      this.#cut(ERROR_CODE.cancel, { kind: 'head-too-large', details: 'response headers too large', unprocessed: false });
    } else if (this.#responded) {
      this.#trailers = ended ? readTrailers(fields) : null;
      if (this.#trailers === null) this.#malformed('trailers that are none');
    } else this.#onResponse(fields, ended);
  }

  onData(chunk: Buffer): void {
    if (this.#events === null) this.#stream?.giveBack(chunk.length);
    else if (!this.#responded) this.#malformed('a body before its head');
    else if (!this.#received.take(chunk.length)) this.#malformed('more bytes than were announced');
    else if (this.#blocked) this.#held.hold(chunk);
    else this.#pass(chunk);
  }

  onEnd(): void {
    if (this.#events === null) return;
    if (!this.#responded) this.#malformed('an end without a response');
    else if (!this.#received.isWhole()) this.#malformed('fewer bytes than were announced');
    else {
      this.#ended = true;
      this.#deliver();
    }
  }

  onReset(errorCode: number, unprocessed: boolean): void {
    if (unprocessed) this.#host.refused();
    this.#fail(problemOf(errorCode, unprocessed, this.#responded));
  }

  onWritable(): void {
    this.#told((events) => events.onUpstreamWritable());
  }

  #onResponse(fields: readonly Field[], ended: boolean): void {
    const result = readResponseHead(fields, ended);
    if (result.kind !== 'ok') {
      this.#malformed(result.details);
      return;
    }
    const { head } = result;
    this.#touch();
    if (head.status < 200) {
      if (++this.#interims > HTTP.interimResponsesMax) this.#malformed('too many interim responses');
      else this.#told((events) => events.onInform(head));
      return;
    }
    this.#responded = true;
    this.#received.expect(bodyBytesOf(this.#method, head.status, head.contentLength));
    if (ended && !this.#received.isWhole()) this.#malformed('fewer bytes than were announced');
    else this.#told((events) => events.onResponse(head, ended));
  }

  /** Passes on what is held, as far as it goes, and the end after it. */
  #deliver(): void {
    while (!this.#blocked) {
      const piece = this.#held.take();
      if (piece === null) break;
      this.#pass(piece);
    }
    const events = this.#events;
    if (!this.#ended || !this.#held.isEmpty || events === null) return;
    const trailers = this.#trailers;
    this.#drop();
    try {
      events.onResponseEnd(trailers);
    } catch (error) {
      this.#host.mistaken(error);
    }
    // W78: a peer may answer before it has read everything; the rest of the request is of no use then.
    if (this.#stream?.localEnded === false) this.#stream.reset(ERROR_CODE.noError);
  }

  #pass(piece: Buffer): void {
    this.#touch();
    try {
      if (this.#events?.onResponseBody(piece) === false) this.#blocked = true;
    } catch (error) {
      this.#mistake(error);
    }
    this.#stream?.giveBack(piece.length);
  }

  #touch(): void {
    if (this.#isTouched) return;
    this.#isTouched = true;
    this.#host.touched(this);
  }

  #malformed(details: string): void {
    this.#cut(ERROR_CODE.protocolError, { kind: 'protocol-error', details, unprocessed: false });
  }

  /** No whole request went, or no whole answer came: neither may pass for one. */
  #cut(errorCode: number, problem: Problem): void {
    const events = this.#drop();
    this.#stream?.reset(errorCode);
    this.#failTo(events, problem);
  }

  #fail(problem: Problem): void {
    this.#failTo(this.#drop(), problem);
  }

  #failTo(events: ClientEvents | null, problem: Problem): void {
    try {
      events?.onFailure({ ...problem, staleConnection: false });
    } catch (error) {
      this.#host.mistaken(error);
    }
  }

  #told(tell: (events: ClientEvents) => void): void {
    if (this.#events === null) return;
    try {
      tell(this.#events);
    } catch (error) {
      this.#mistake(error);
    }
  }

  #mistake(error: unknown): void {
    this.#host.mistaken(error);
    const events = this.#drop();
    this.#stream?.reset(ERROR_CODE.cancel);
    const problem = {
      kind: 'local-reset',
      details: 'a mistake of the waypoint',
      staleConnection: false,
      unprocessed: false,
    } as const;
    if (events !== null) regardless(() => events.onFailure(problem));
  }

  /** Nobody hears any more. */
  #drop(): ClientEvents | null {
    const events = this.#events;
    this.#events = null;
    this.#held.clear();
    this.#body.drop();
    return events;
  }
}

type Problem = Omit<UpstreamProblem, 'staleConnection'>;

function problemOf(errorCode: number, unprocessed: boolean, responded: boolean): Problem {
  if (errorCode === ERROR_CODE.connectError) return { kind: 'closed', details: 'connection termination', unprocessed };
  if (unprocessed) return { kind: 'remote-reset', details: 'stream refused', unprocessed };
  const details = `http2 stream reset with ${errorCodeName(errorCode)}`;
  if (errorCode === ERROR_CODE.protocolError) return { kind: 'protocol-error', details, unprocessed };
  // Without an error, but before the end of the response: what came of it is not all.
  const withdrawn = errorCode === ERROR_CODE.cancel || (errorCode === ERROR_CODE.noError && !responded);
  return { kind: withdrawn ? 'closed' : 'remote-reset', details, unprocessed };
}

/** What a stream of the codec tells a request's half: the names of the two would clash. */
export class ClientStreamHandler implements StreamHandler {
  readonly #half: Http2ClientStream;

  constructor(half: Http2ClientStream) {
    this.#half = half;
  }

  response(fields: readonly Field[] | null, ended: boolean): void {
    this.#half.onHeaders(fields, ended);
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.#half.onData(buffer.subarray(start, end));
  }

  end(): void {
    this.#half.onEnd();
  }

  reset(errorCode: number, unprocessed: boolean): void {
    this.#half.onReset(errorCode, unprocessed);
  }

  writable(): void {
    this.#half.onWritable();
  }
}
