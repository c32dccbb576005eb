import type { ByteStream } from '#model/effects/byte-stream.ts';
import { regardless } from '#model/effects/mishaps.ts';
import { Announced, bodyBytesOf } from '#protocol/http/announced.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { RequestHead, ResponseHead, ServerEvents, ServerStream, WireBytes } from '#protocol/http/message.ts';
import { BodySender } from './body-sender.ts';
import { ERROR_CODE } from './constants.ts';
import type { Field } from './field.ts';
import { encodeHeaderBlock } from './field-block.ts';
import { readTrailers } from './heads.ts';
import { HeldBody } from './held-body.ts';
import type { HpackEncoder } from './hpack-encoder.ts';
import type { StreamHandler } from './roles.ts';
import type { Http2Stream } from './stream.ts';
import { Tunnel, type TunnelCarrier } from './tunnel.ts';

/** What a stream shares with the others of its connection. */
export type ServerStreamHost = {
  readonly encoder: HpackEncoder;
  /** Body was delivered: `turnEnd` when the read that brought it is done. */
  touched(stream: Http2ServerStream): void;
  /** A request was withdrawn before its answer. */
  withdrawn(openedMs: number): void;
  mistaken(error: unknown): void;
  /** For the streams that become bytes. */
  readonly carrier: TunnelCarrier;
};

/** The downstream half of one HTTP/2 request. */
export class Http2ServerStream implements ServerStream {
  readonly wire: WireBytes;
  readonly #stream: Http2Stream;
  readonly #host: ServerStreamHost;
  readonly #openedMs: number;
  readonly #method: string;
  readonly #upgrades: boolean;
  readonly #body = new BodySender();
  readonly #held = new HeldBody();
  /** What is left of the response's body, and of the request's. */
  readonly #announced = new Announced();
  readonly #received = new Announced();
  #events: ServerEvents | null = null;
  #trailers: HeaderBlock | null = null;
  #bodiless = false;
  #bodyStarted = false;
  #bodyBlocked = false;
  /** The request is complete; and that has been told. */
  #bodyEnded = false;
  #bodyEndTold = false;
  #isTouched = false;
  /** The response is complete, or will not be. */
  #over = false;

  constructor(stream: Http2Stream, head: RequestHead, host: ServerStreamHost, openedMs: number) {
    this.#stream = stream;
    this.wire = stream;
    this.#method = head.method;
    this.#upgrades = head.upgrade !== null;
    this.#host = host;
    this.#openedMs = openedMs;
    this.#received.expect(head.hasBody ? head.contentLength : null);
    // A head that ends the stream is told of by itself.
    this.#bodyEndTold = !head.hasBody;
  }

  /** Whom to tell; set once, right after the request was handed over. */
  listen(events: ServerEvents): void {
    if (this.#over) return;
    this.#events = events;
    if (this.#bodyStarted) this.#deliver();
  }

  inform(head: ResponseHead): void {
    if (this.#over) return;
    this.#encode(head, null);
    this.#stream.sendBlock(false, false);
  }

  respond(head: ResponseHead, end: boolean): void {
    if (this.#over) return;
    this.#bodiless = head.status === 205 || bodyBytesOf(this.#method, head.status, null) === 0;
    this.#announced.expect(this.#bodiless ? 0 : head.contentLength);
    if (end && !this.#announced.isWhole()) {
      this.reset();
      return;
    }
    this.#encode(head, head.status === 204 ? null : head.contentLength);
    if (end) this.#finish();
    this.#stream.sendBlock(end, true);
  }

  /** More than was announced, or less at the end, is no answer: the client must see that it broke off. */
  write(data: Buffer): boolean {
    if (this.#bodiless || this.#over) return true;
    if (this.#announced.take(data.length)) return this.#body.write(this.#stream, data);
    this.reset();
    return true;
  }

  end(trailers: HeaderBlock | null): void {
    if (this.#over) return;
    if (!this.#announced.isWhole()) {
      this.reset();
      return;
    }
    this.#finish();
    this.#body.end(this.#stream, trailers);
  }

  flush(): void {
    this.#body.flush(this.#stream);
  }

  reset(): void {
    this.#finish();
    this.#body.drop();
    this.#stream.reset(ERROR_CODE.internalError);
  }

  startBody(): void {
    if (this.#bodyStarted) return;
    this.#bodyStarted = true;
    this.#deliver();
  }

  resumeBody(): void {
    if (!this.#bodyBlocked) return;
    this.#bodyBlocked = false;
    this.#deliver();
  }

  /** RFC 8441 5: what HTTP/1.1 answers with 101 is a 200 here, after which the stream is bytes. */
  upgrade(head: ResponseHead): ByteStream | null {
    if (this.#over || !this.#upgrades) return null;
    this.#encode({ ...head, status: 200 }, null);
    this.#stream.sendBlock(false, true);
    const tunnel = new Tunnel(this.#stream, this.#host.carrier);
    this.#stream.handler = tunnel.handler;
    for (let piece = this.#held.take(); piece !== null; piece = this.#held.take()) tunnel.arrived(piece, 0, piece.length);
    if (this.#stream.remoteEnded) tunnel.ended();
    this.#finish();
    return tunnel;
  }

  /** The read that brought some of the body is done. */
  turnEnd(): void {
    this.#isTouched = false;
    try {
      this.#events?.onRequestTurnEnd();
    } catch (error) {
      this.#mistake(error);
    }
  }

  /** Trailers: only behind the whole body, and with the end of the stream. */
  onTrailers(fields: readonly Field[] | null, ended: boolean): void {
    this.#trailers = fields === null || !ended ? null : readTrailers(fields);
    if (this.#trailers === null) this.#breakOff();
  }

  onData(chunk: Buffer): void {
    if (this.#over) this.#stream.giveBack(chunk.length);
    else if (!this.#received.take(chunk.length)) this.#breakOff();
    else if (this.#events === null || !this.#bodyStarted || this.#bodyBlocked) this.#held.hold(chunk);
    else this.#pass(chunk);
  }

  onEnd(): void {
    if (this.#over) return;
    if (!this.#received.isWhole()) {
      this.#breakOff();
      return;
    }
    this.#bodyEnded = true;
    if (this.#bodyStarted && this.#events !== null) this.#deliver();
  }

  onReset(errorCode: number): void {
    if (!this.#stream.answered && errorCode !== ERROR_CODE.connectError) this.#host.withdrawn(this.#openedMs);
    this.#gone(errorCode === ERROR_CODE.noError || errorCode === ERROR_CODE.connectError ? 'disconnect' : 'reset');
  }

  onWritable(): void {
    try {
      this.#events?.onDownstreamWritable();
    } catch (error) {
      this.#mistake(error);
    }
  }

  /** Our answer is out, all of it; what the client still sends is of no use (RFC 9113 8.1). */
  onFinished(): void {
    if (!this.#stream.remoteEnded) this.#stream.reset(ERROR_CODE.noError);
  }

  /** Passes on what is held, as far as it goes, and the end after it. */
  #deliver(): void {
    if (this.#events === null) return;
    while (!this.#bodyBlocked) {
      const piece = this.#held.take();
      if (piece === null) break;
      this.#pass(piece);
    }
    if (!this.#bodyEnded || this.#bodyEndTold || !this.#held.isEmpty) return;
    this.#bodyEndTold = true;
    this.#touch();
    try {
      this.#events?.onBodyEnd(this.#trailers);
    } catch (error) {
      this.#mistake(error);
    }
  }

  #pass(piece: Buffer): void {
    this.#touch();
    try {
      if (this.#events?.onBody(piece) === false) this.#bodyBlocked = true;
    } catch (error) {
      this.#mistake(error);
    }
    this.#stream.giveBack(piece.length);
  }

  #touch(): void {
    if (this.#isTouched) return;
    this.#isTouched = true;
    this.#host.touched(this);
  }

  #encode(head: ResponseHead, contentLength: number | null): void {
    const { encoder } = this.#host;
    encoder.begin();
    encoder.field(':status', String(head.status), false);
    encodeHeaderBlock(encoder, head.headers);
    if (contentLength !== null) encoder.field('content-length', String(contentLength), false);
  }

  /** The request is not what it was to be: it must not reach anybody as a whole one. */
  #breakOff(): void {
    this.#stream.reset(ERROR_CODE.protocolError);
    this.#gone('protocol-error');
  }

  #gone(why: 'disconnect' | 'reset' | 'protocol-error'): void {
    const events = this.#events;
    this.#finish();
    this.#body.drop();
    try {
      events?.onGone(why);
    } catch (error) {
      this.#host.mistaken(error);
    }
  }

  #mistake(error: unknown): void {
    const events = this.#events;
    this.#host.mistaken(error);
    this.reset();
    if (events !== null) regardless(() => events.onGone('disconnect'));
  }

  #finish(): void {
    this.#events = null;
    this.#over = true;
    this.#held.clear();
  }
}

/** What a stream of the codec tells a request's half: the names of the two would clash. */
export class ServerStreamHandler implements StreamHandler {
  readonly #half: Http2ServerStream;

  constructor(half: Http2ServerStream) {
    this.#half = half;
  }

  response(fields: readonly Field[] | null, ended: boolean): void {
    this.#half.onTrailers(fields, ended);
  }

  data(buffer: Buffer, start: number, end: number): void {
    this.#half.onData(buffer.subarray(start, end));
  }

  end(): void {
    this.#half.onEnd();
  }

  reset(errorCode: number): void {
    this.#half.onReset(errorCode);
  }

  writable(): void {
    this.#half.onWritable();
  }

  finished(): void {
    this.#half.onFinished();
  }
}
