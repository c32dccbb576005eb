import type { Duplex } from 'node:stream';
import { StringHeaders } from '#protocol/http/header-block.ts';
import type { ProtocolProblem, ResponseHead } from '#protocol/http/message.ts';
import { mayHaveBody } from '#protocol/http/status.ts';
import { BodyWriter } from './body-writer.ts';
import { writeResponseHead } from './head-writer.ts';

/** What decides the framing of a response, beside its own head. */
export type ResponseTerms = { readonly method: string; readonly close: boolean; readonly end: boolean };

/** Writes the responses of one connection, each framed afresh. */
export class ResponseWriter {
  readonly #stream: Duplex;
  readonly #body: BodyWriter;
  #bodiless = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#body = new BodyWriter(stream);
  }

  /** A 1xx goes out at once. */
  inform(head: ResponseHead): void {
    this.#stream.write(writeResponseHead({ ...head, contentLength: null }, 'none', false));
  }

  /** HEAD and 304 keep the length of the body they do not carry. */
  begin(head: ResponseHead, { method, close, end }: ResponseTerms): void {
    this.#bodiless = method === 'HEAD' || !mayHaveBody(head.status);
    if (this.#bodiless) {
      const contentLength = head.status === 204 ? null : head.contentLength;
      this.#body.begin(writeResponseHead({ ...head, contentLength }, 'none', close), 'none', null);
    } else if (end) {
      this.#body.begin(writeResponseHead({ ...head, contentLength: 0 }, 'length', close), 'length', 0);
    } else {
      const framing = head.contentLength === null ? 'chunked' : 'length';
      this.#body.begin(writeResponseHead(head, framing, close), framing, head.contentLength);
    }
  }

  /** The whole answer to a message that cannot be read; the connection ends with it. */
  refuse({ status, details }: ProtocolProblem): void {
    const body = Buffer.from(details);
    const headers = new StringHeaders(['content-type', 'text/plain']);
    this.begin({ status, headers, contentLength: body.length }, { method: '', close: true, end: false });
    this.write(body);
    this.end();
  }

  /** False: the stream is over its watermark. */
  write(data: Buffer): boolean {
    return this.#bodiless || this.#body.write(data);
  }

  /** False: the body was shorter than announced, and the stream has been cut. */
  end(): boolean {
    if (!this.#body.end()) return false;
    this.#body.flush();
    return true;
  }

  flush(): void {
    this.#body.flush();
  }
}
