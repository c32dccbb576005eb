import type { ByteStream } from '#model/effects/byte-stream.ts';
import { answerFormOf, grpcHeaders, TextBody, trailersFrame, type WebForm, webFormOf, webTypeOf } from '#protocol/grpc/web.ts';
import type { HeaderBlock } from '#protocol/http/header-block.ts';
import type { RequestHead, ResponseHead, ServerEvents, ServerStream, WireBytes } from '#protocol/http/message.ts';
import type { Carrier } from '#waypoint/exchange/carrier.ts';
import { reply } from '#waypoint/exchange/local-reply.ts';

/** A request of gRPC-Web as one of gRPC, and the client's half that answers it as such. */
export type WebCall = { readonly head: RequestHead; readonly stream: ServerStream; events(carrier: Carrier): ServerEvents };

/** Null: it is none. All that comes after sees a call of gRPC: policies, routes, counters and the server. */
export function webCallOf(head: RequestHead, stream: ServerStream): WebCall | null {
  const form = head.method === 'POST' ? webFormOf(head.headers.get('content-type')) : null;
  if (form === null) return null;
  const answerForm = answerFormOf(head.headers.get('accept'), form);
  const isText = form === 'text';
  return {
    head: { ...head, headers: grpcHeaders(head.headers), contentLength: isText ? null : head.contentLength },
    stream: new WebStream(stream, answerForm),
    events: (carrier) => (isText ? new TextEvents(carrier) : carrier),
  };
}

const MALFORMED = reply(400, 'Bad gRPC-Web request, invalid base64 data.', '-', 'grpc_base_64_decode_failed');

// A browser shows its pages neither trailers nor, everywhere, bytes as they come, so gRPC-Web puts both into the body. Here alone the
// two are told apart: a stage that knew of it would be one that policy or a retry could see otherwise than the server does.

/** What comes as text, read. */
class TextEvents implements ServerEvents {
  readonly #carrier: Carrier;
  readonly #body = new TextBody();
  /** It was refused: nothing of it counts any more. */
  #isBad = false;

  constructor(carrier: Carrier) {
    this.#carrier = carrier;
  }

  onBody(data: Buffer): boolean {
    if (this.#isBad) return true;
    const bytes = this.#body.take(data);
    if (bytes !== null) return bytes.length === 0 || this.#carrier.onBody(bytes);
    this.#refuse();
    return true;
  }

  onBodyEnd(trailers: HeaderBlock | null): void {
    if (!this.#isBad && !this.#body.isWhole) this.#refuse();
    if (!this.#isBad) this.#carrier.onBodyEnd(trailers);
  }

  onGone(why: 'disconnect' | 'reset' | 'protocol-error'): void {
    this.#carrier.onGone(why);
  }

  onDownstreamWritable(): void {
    this.#carrier.onDownstreamWritable();
  }

  onRequestTurnEnd(): void {
    this.#carrier.onRequestTurnEnd();
  }

  /** What has gone to the server is taken back with the try; what still comes is nobody's. */
  #refuse(): void {
    this.#isBad = true;
    this.#carrier.reply(MALFORMED);
  }
}

/** The client's half, to which answers of gRPC are written: their trailers end the body. What is no gRPC stays as it is. */
class WebStream implements ServerStream {
  readonly #stream: ServerStream;
  readonly #form: WebForm;
  /** What is answered is gRPC, and not a page. */
  #isWeb = false;

  constructor(stream: ServerStream, form: WebForm) {
    this.#stream = stream;
    this.#form = form;
  }

  /** As the client has them: text is longer than what it stands for. */
  get wire(): WireBytes {
    return this.#stream.wire;
  }

  inform(head: ResponseHead): void {
    this.#stream.inform(head);
  }

  /** An answer without a body keeps its status in the head, where clients look first. Trailers make any length wrong. */
  respond(head: ResponseHead, end: boolean): void {
    const type = webTypeOf(head.headers.get('content-type'), this.#form);
    this.#isWeb = type !== null;
    if (type !== null) head.headers.set('content-type', type);
    this.#stream.respond(type === null ? head : { ...head, contentLength: null }, end);
  }

  /** A turn of the upstream is one piece, so what it sent can be read when it comes. */
  write(data: Buffer): boolean {
    return this.#stream.write(this.#isWeb ? this.#written(data) : data);
  }

  /** An upstream that ends without trailers has no status, which its client finds out as one of gRPC would. */
  end(trailers: HeaderBlock | null): void {
    const isBody = this.#isWeb && trailers !== null;
    if (isBody) this.#stream.write(this.#written(trailersFrame(trailers)));
    this.#stream.end(isBody ? null : trailers);
  }

  flush(): void {
    this.#stream.flush();
  }

  reset(): void {
    this.#stream.reset();
  }

  startBody(): void {
    this.#stream.startBody();
  }

  resumeBody(): void {
    this.#stream.resumeBody();
  }

  upgrade(head: ResponseHead): ByteStream | null {
    return this.#stream.upgrade(head);
  }

  /** Each piece with padding of its own: a client must not wait for the next one to read what has come. */
  #written(data: Buffer): Buffer {
    return this.#form === 'binary' ? data : Buffer.from(data.toString('base64'), 'latin1');
  }
}
