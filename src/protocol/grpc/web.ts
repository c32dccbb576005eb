import type { HeaderBlock } from '#protocol/http/header-block.ts';
import { StringHeaders } from '#protocol/http/header-block.ts';
import { headerIdOf } from '#protocol/http/header-names.ts';

/** How a client of gRPC-Web writes bodies: as they are, or as text, since not every browser hands bytes over as they come. */
export type WebForm = 'binary' | 'text';

const WEB_TYPE = /^application\/grpc-web(-text)?(\+[a-z0-9.-]+)?\s*(?:;|$)/i;
const GRPC_TYPE = /^application\/grpc(\+[a-z0-9.-]+)?\s*(?:;|$)/i;

/** The form of a request's body, by its content type; null: it is no gRPC-Web. */
export function webFormOf(contentType: string | null): WebForm | null {
  const match = contentType === null ? null : WEB_TYPE.exec(contentType);
  return match === null ? null : match[1] === undefined ? 'binary' : 'text';
}

/** In which form the answer is wanted: as the client accepts it, or as it asked where it does not say. */
export function answerFormOf(accept: string | null, asked: WebForm): WebForm {
  return accept === null || accept === '*/*' ? asked : (webFormOf(accept) ?? asked);
}

/** The headers of a request as gRPC has them; `host` and the like are elsewhere. */
export function grpcHeaders(headers: HeaderBlock): HeaderBlock {
  const [, , encoding = ''] = WEB_TYPE.exec(headers.get('content-type') ?? '') ?? [];
  const pairs = headers.toPairs();
  const kept = pairs.flatMap((name, at) => {
    if (at % 2 === 1 || name === 'content-type' || name === 'te') return [];
    return [name, pairs[at + 1] ?? ''];
  });
  return new StringHeaders([...kept, 'content-type', `application/grpc${encoding.toLowerCase()}`, 'te', 'trailers'], headerIdOf);
}

/** The content type of an answer of gRPC in this form; null: it is none, but a page of somebody else. */
export function webTypeOf(contentType: string | null, form: WebForm): string | null {
  const match = contentType === null ? null : GRPC_TYPE.exec(contentType);
  return match === null ? null : `application/grpc-web${form === 'text' ? '-text' : ''}${match[1] ?? ''}`;
}

/** Fixed by gRPC-Web: the first bit of a frame that holds trailers. */
const TRAILERS_FLAG = 0x80;

/** The last frame of an answer: browsers show no trailers, so they end its body. */
export function trailersFrame(trailers: HeaderBlock): Buffer {
  const pairs = trailers.toPairs();
  const lines = pairs.map((text, at) => (at % 2 === 0 ? `${text}:` : `${text}\r\n`)).join('');
  const text = Buffer.from(lines, 'latin1');
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(TRAILERS_FLAG);
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, text]);
}

const QUARTETS = /^(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)*$/;

/** Turns base64 in pieces of any size into bytes. Each message may end in padding of its own; nothing is kept but three characters. */
export class TextBody {
  #rest = '';

  /** Null: it is no base64. */
  take(data: Buffer): Buffer | null {
    const text = this.#rest + data.toString('latin1');
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    const quartets = text.slice(0, whole);
    if (!QUARTETS.test(quartets)) return null;
    // Node.js ends at the first padding, wherever that is.
    const parts = quartets.match(/[^=]+=*/g) ?? [];
    return Buffer.concat(parts.map((part) => Buffer.from(part, 'base64')));
  }

  /** Whether it may end here. */
  get isWhole(): boolean {
    return this.#rest === '';
  }
}
