import type { ByteStream } from '#model/effects/byte-stream.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ProtocolProblem, ResponseHead } from '#protocol/http/message.ts';
import { mayHaveBody } from '#protocol/http/status.ts';
import { BodyWriter } from './body-writer.ts';
import { type OutgoingFraming, type ResponseFraming, writeResponseHead, writeUpgradeHead } from './head-writer.ts';

/** What decides the framing of a response, beside its own head. */
export type ResponseTerms = { readonly method: string; readonly close: boolean; readonly end: boolean };

const INTERIM: ResponseFraming = { framing: 'none', contentLength: null, close: false };

/** As `WireBytes`, while they are counted. */
export type CountedBytes = { receivedBytes: number; sentBytes: number };

/** Writes to a byte stream, and counts what it writes of the message under way. */
class CountedStream {
  /** Another object for each message: whoever has that of one may look when the next is under way. */
  wire: CountedBytes = { receivedBytes: 0, sentBytes: 0 };
  readonly #stream: ByteStream;

  constructor(stream: ByteStream) {
    this.#stream = stream;
  }

  /** As `write` of the stream. */
  write(buffer: Buffer, start: number, end: number): boolean {
    this.wire.sentBytes += end - start;
    return this.#stream.write(buffer, start, end);
  }
}

/** Writes the responses of one connection, each framed afresh. */
export class ResponseWriter {
  readonly #stream: CountedStream;
  readonly #body: BodyWriter;
  #bodiless = false;

  constructor(stream: ByteStream) {
    this.#stream = new CountedStream(stream);
    this.#body = new BodyWriter(this.#stream);
  }

  /** Of the message under way. */
  get wire(): CountedBytes {
    return this.#stream.wire;
  }

  /** The next request has come, with a head of so many bytes. */
  expect(receivedBytes: number): void {
    this.#stream.wire = { receivedBytes, sentBytes: 0 };
  }

  /** A 1xx. */
  inform(head: ResponseHead): void {
    writeResponseHead(this.#stream, head, INTERIM);
  }

  /** A 101: what follows is not ours. */
  upgrade(head: ResponseHead, protocol: string): void {
    writeUpgradeHead(this.#stream, head, protocol);
  }

  /** HEAD and 304 keep the length of the body they do not carry. */
  begin(head: ResponseHead, { method, close, end }: ResponseTerms): void {
    this.#bodiless = method === 'HEAD' || !mayHaveBody(head.status);
    if (this.#bodiless) this.#head(head, 'none', head.status === 204 ? null : head.contentLength, close);
    else if (end) this.#head(head, 'length', 0, close);
    else this.#head(head, head.contentLength === null ? 'chunked' : 'length', head.contentLength, close);
  }

  /** The whole answer to a message that cannot be read; the connection ends with it. */
  refuse({ status, details }: ProtocolProblem): void {
    const body = Buffer.from(details);
    const headers = new StringHeaders(['content-type', 'text/plain']);
    this.begin({ status, headers, contentLength: body.length }, { method: '', close: true, end: false });
    this.write(body);
    this.end();
  }

  /** Whether `data` is no more than was announced; else it must not be written. */
  takes(data: Buffer): boolean {
    return this.#bodiless || this.#body.takes(data);
  }

  /** False: the stream is over its watermark. */
  write(data: Buffer): boolean {
    return this.#bodiless || this.#body.write(data);
  }

  /** False: the body is shorter than announced. */
  end(): boolean {
    return this.#body.end();
  }

  #head(head: ResponseHead, framing: OutgoingFraming, contentLength: number | null, close: boolean): void {
    writeResponseHead(this.#stream, head, { framing, contentLength, close });
    this.#body.begin(this.#bodiless ? 'none' : framing, contentLength);
  }
}
